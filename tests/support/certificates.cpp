// SPDX-License-Identifier: Apache-2.0
#include "support/certificates.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <utility>

namespace sockmesh::test {
namespace {

const std::string kNewKey = " -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";

void openssl(const std::string& arguments, const std::string& log) {
  const std::string command = "openssl " + arguments + " >" + log + " 2>&1";
  EXPECT_EQ(std::system(command.c_str()), 0) << command << "\n" << contentOf(log);
}

}  // namespace

std::string contentOf(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

CertificateAuthority::CertificateAuthority(std::string folder, std::string name)
    : folder_(std::move(folder)), name_(std::move(name)) {
  openssl("req -x509" + kNewKey + " -days 30 -subj /CN=" + name_ + " -keyout " + folder_ + "/" +
              name_ + ".key -out " + root(),
          folder_ + "/openssl.log");
}

CertificateFiles CertificateAuthority::sign(const std::string& commonName,
                                            const std::string& alternativeName) const {
  const std::string base = folder_ + "/" + name_ + "-" + commonName;
  CertificateFiles files{base + ".pem", base + ".key"};
  const std::string log = folder_ + "/openssl.log";
  openssl("req" + kNewKey + " -subj /CN=" + commonName + " -keyout " + files.key + " -out " + base +
              ".csr",
          log);
  std::ofstream(base + ".ext") << "subjectAltName=" << alternativeName << "\n";
  openssl("x509 -req -days 30 -in " + base + ".csr -CA " + root() + " -CAkey " + folder_ + "/" +
              name_ + ".key -CAcreateserial -extfile " + base + ".ext -out " + files.certificate,
          log);
  return files;
}

}  // namespace sockmesh::test
