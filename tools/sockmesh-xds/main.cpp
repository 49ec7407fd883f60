// SPDX-License-Identifier: Apache-2.0
// sockmesh-xds: serves a folder of xDS resources over ADS, and follows its changes.
#include <fmt/format.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "ads/grpc_log.h"
#include "ads_server.h"
#include "base/defaults.h"
#include "base/event_loop.h"
#include "base/host_port.h"
#include "base/log.h"
#include "base/printable.h"
#include "base/usage_problem.h"
#include "base/version.h"
#include "folder_watch.h"
#include "resource_folder.h"
#include "server_credentials.h"
#include "withdrawals.h"

namespace sockmesh {
namespace {

struct Options {
  std::string listen = "127.0.0.1:18000";
  std::string folder;
  std::string portFile;
  std::string logLevel = kDefaultLogLevel;
  ServerTlsFiles tls;
};

int fail(int exitCode, const std::string& message) {
  fmt::print(stderr, "sockmesh-xds: {}\n", message);
  return exitCode;
}

std::string checkListen(const std::string& listen) {
  const auto parsed = parseHostPort(listen, LowestPort::kAny);
  return parsed ? "" : parsed.error().message();
}

// Writes the whole file or nothing, so that a process that waits for the file never reads half a
// number.
Status writePortFile(const std::string& path, int port) {
  const std::string temporary = path + ".tmp";
  std::ofstream file(temporary);
  file << port << '\n';
  file.close();
  std::error_code error;
  if (file) std::filesystem::rename(temporary, path, error);
  if (!file || error) return Error(fmt::format("cannot write {}", path));
  return {};
}

// SIGINT and SIGTERM as a readable descriptor. Before threads start: they inherit the mask.
Result<UniqueFd> stopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  if (const int error = pthread_sigmask(SIG_BLOCK, &signals, nullptr); error != 0) {
    return Error::fromErrno("pthread_sigmask", error);
  }
  UniqueFd fd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd.valid()) return Error::fromErrno("signalfd", errno);
  return fd;
}

void reportPassedOver(const FolderContents& folder) {
  for (const std::string& line : folder.passedOver) {
    logger("folder")->warn("{}: not served", line);
  }
}

void reportMistakes(const Error& error) {
  const auto log = logger("folder");
  std::istringstream lines(error.message());
  for (std::string line; std::getline(lines, line);) log->error("{}", line);
  log->error("the last good resources stay served");
}

// `served` is what was served until now, and becomes what is served from now on.
void reload(const Options& options, AdsServer& server, const Status& watched,
            FolderContents& served) {
  const auto log = logger("folder");
  if (!watched) log->error("cannot watch all of {}: {}", options.folder, watched.error().message());
  auto folder = loadFolder(options.folder);
  if (!folder) return reportMistakes(folder.error());
  reportPassedOver(*folder);
  for (const std::string& line : withdrawals(served, *folder)) log->warn("{}", line);
  log->info("{} resources in {}", folder->resources->size(), options.folder);
  server.publish(folder->resources);
  served = *std::move(folder);
}

int serve(const Options& options) {
  const auto signals = stopSignals();
  if (!signals) return fail(EX_OSERR, signals.error().message());
  const auto loop = EventLoop::create();
  if (!loop) return fail(EX_OSERR, loop.error().message());

  // The watch comes first, so that a change while the files are read is not missed.
  AdsServer* published = nullptr;
  FolderContents served;
  const auto watch = FolderWatch::start(**loop, options.folder, [&](const Status& watched) {
    if (published != nullptr) reload(options, *published, watched, served);
  });
  if (!watch) return fail(EX_DATAERR, watch.error().message());
  auto folder = loadFolder(options.folder);
  if (!folder) {
    return fail(EX_DATAERR, fmt::format("cannot serve {}:\n{}", printable(options.folder),
                                        folder.error().message()));
  }
  reportPassedOver(*folder);
  served = *std::move(folder);

  const auto log = logger("ads");
  const auto credentials = serverCredentials(options.tls);
  if (!credentials) return fail(EX_DATAERR, credentials.error().message());
  const auto server =
      AdsServer::start(**loop, {options.listen, *credentials}, served.resources,
                       [log](const std::string& line, bool problem) {
                         log->log(problem ? spdlog::level::warn : spdlog::level::info, line);
                       });
  if (!server) return fail(EX_UNAVAILABLE, server.error().message());
  published = server->get();
  const std::string host = options.listen.substr(0, options.listen.rfind(':'));
  log->info("listening on {}:{}, {} resources", host, (*server)->port(), served.resources->size());
  if (!options.portFile.empty()) {
    const Status written = writePortFile(options.portFile, (*server)->port());
    if (!written) return fail(EX_CANTCREAT, written.error().message());
  }
  const Status watched = (*loop)->watch(signals->get(), [&] { (*loop)->stop(); });
  if (!watched) return fail(EX_OSERR, watched.error().message());
  (*loop)->run();
  return 0;
}

int run(int argc, char** argv) {
  Options options;
  CLI::App app("Serves a folder of xDS resources (YAML, JSON, or .pb) over ADS; reloads on change.",
               "sockmesh-xds");
  app.set_version_flag("--version", std::string("sockmesh-xds ") + version());
  app.add_option("--listen", options.listen, "address to listen on; port 0 picks a free one")
      ->type_name("HOST:PORT")
      ->check(checkListen)
      ->capture_default_str();
  app.add_option("--port-file", options.portFile,
                 "file that gets the port number once the server listens")
      ->type_name("FILE");
  app.add_option("--log-level", options.logLevel, logLevels())
      ->type_name("LEVEL")
      ->capture_default_str();
  auto* certificate =
      app.add_option("--tls-cert", options.tls.certificate, "serve TLS with this chain (PEM)")
          ->type_name("FILE");
  auto* key = app.add_option("--tls-key", options.tls.key, "private key of --tls-cert (PEM)")
                  ->type_name("FILE")
                  ->needs(certificate);
  certificate->needs(key);
  app.add_option("--client-ca", options.tls.clientRoots,
                 "refuse clients without a certificate of these authorities (PEM)")
      ->type_name("FILE")
      ->needs(certificate);
  app.add_option("folder", options.folder, "folder to serve, with its subfolders")
      ->type_name("DIR")
      ->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    return fail(EX_USAGE, usageProblem(app, error) + " (see --help)");
  }
  if (const Status status = configureLogging(options.logLevel, false); !status) {
    return fail(EX_USAGE, status.error().message());
  }
  spdlog::flush_on(spdlog::level::info);
  routeGrpcLog();
  return serve(options);
}

}  // namespace
}  // namespace sockmesh

int main(int argc, char** argv) {
  return sockmesh::run(argc, argv);
}
