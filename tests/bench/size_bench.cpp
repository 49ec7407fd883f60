// SPDX-License-Identifier: Apache-2.0
// What a mesh takes in the kernel's maps, and whether it is there whole: reads every VIP and
// endpoint back. usage: size_bench [SERVICES ENDPOINTS]..., by default 1 x 1, 1,000 x 10, 10,000 x
// 10, 100,000 x 1. Exits with 1 where anything is missing.
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "datapath/datapath.h"
#include "inspect/map_memory.h"
#include "inspect/map_usage.h"
#include "support/sandbox.h"
#include "support/scrape.h"
#include "support/size_mesh.h"
#include "writer/kernel_store.h"
#include "writer/map_writer.h"

namespace sockmesh::test {
namespace {

void die(const Error& error) {
  std::fprintf(stderr, "%s\n", error.message().c_str());
  std::exit(1);
}

template <typename T>
T need(Result<T> result) {
  if (!result) die(result.error());
  return std::move(result).value();
}

double seconds() {
  timespec ts{};
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return static_cast<double>(ts.tv_sec) + static_cast<double>(ts.tv_nsec) / 1e9;
}

double mebibytes(std::uint64_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}

// Prints what the maps take, and how much that is for each service, cluster and endpoint.
void printMemory(const SizeMesh& mesh, const KernelMaps& maps, const std::string& directory) {
  const KernelImage image = need(KernelImage::read(maps));
  const MapMemory memory = mapMemory(need(readMapUsage(maps, image, directory)));
  const std::map<std::string_view, std::uint64_t> counts = {
      {"services", image.services.size()},
      {"clusters", image.clusterNames.size()},
      {"endpoints", image.endpoints.size()},
      {"names", image.services.size() + image.clusterNames.size()}};
  std::uint64_t sum = 0;
  for (const auto& [of, bytes] : memory.shares()) {
    sum += bytes;
    std::printf("    %-12s %8.1f MiB", std::string(of).c_str(), mebibytes(bytes));
    const auto count = counts.find(of);
    if (count != counts.end() && mesh.services > 1) {
      std::printf("  %6llu bytes for each of %llu",
                  static_cast<unsigned long long>(bytes / count->second),
                  static_cast<unsigned long long>(count->second));
    }
    std::printf("\n");
  }
  std::printf("    %-12s %8.1f MiB\n", "all maps", mebibytes(sum));
}

// The least of three scrapes, when every endpoint is in use.
void printScrape(KernelMaps& maps, const std::string& bpffs) {
  useAllEndpoints(maps);
  double least = 1e9;
  std::size_t bytes = 0;
  for (int i = 0; i < 3; ++i) {
    const double began = seconds();
    bytes = scrape(bpffs).size();
    least = std::min(least, seconds() - began);
  }
  std::printf("    scrape       %8.3f s    %.1f MiB of text\n", least, mebibytes(bytes));
}

// Whether the kernel holds the mesh whole.
bool measure(const SizeMesh& mesh) {
  const auto sandbox = need(Sandbox::create());
  DatapathOptions options;
  options.cgroupRoot = sandbox->cgroup();
  options.bpffsRoot = sandbox->bpffs();
  const auto datapath = need(Datapath::open(options));
  const auto grace = need(BlockingGracePeriod::create());
  KernelStore store(datapath->maps(), datapath->ejections());
  CountingStore counted(store);
  IdRegistry ids;
  MapWriter writer(counted, ids, *grace, datapath->maps().maxServices);
  const auto tables = mesh.tables();
  const double began = seconds();
  std::vector<std::string> wrong = writer.apply(tables).errors;
  const double written = seconds();
  const auto differences = mesh.differences(datapath->maps());
  wrong.insert(wrong.end(), differences.begin(), differences.end());
  std::printf("%d services x %d endpoints, %ld CPUs: written in %.2f s, read back in %.2f s: %s\n",
              mesh.services, mesh.endpoints, sysconf(_SC_NPROCESSORS_CONF), written - began,
              seconds() - written, wrong.empty() ? "whole" : "WRONG");
  for (std::size_t i = 0; i < wrong.size() && i < 10; ++i) std::printf("  %s\n", wrong[i].c_str());
  printMemory(mesh, datapath->maps(), PinPath(options.bpffsRoot).maps());
  printScrape(datapath->maps(), options.bpffsRoot);
  return wrong.empty();
}

}  // namespace
}  // namespace sockmesh::test

int main(int argc, char** argv) {
  using namespace sockmesh::test;
  if (const auto ok = enterNamespaces(); !ok) die(ok.error());
  std::vector<SizeMesh> meshes;
  for (int i = 1; i + 1 < argc; i += 2)
    meshes.push_back({std::atoi(argv[i]), std::atoi(argv[i + 1])});
  if (meshes.empty()) meshes = {{1, 1}, {1000, 10}, {10000, 10}, {100000, 1}};
  bool whole = true;
  for (const SizeMesh& mesh : meshes) whole = measure(mesh) && whole;
  return whole ? 0 : 1;
}
