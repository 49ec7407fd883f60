// SPDX-License-Identifier: Apache-2.0
// Certificates for tests of TLS, made by openssl in a folder of the test.
#pragma once

#include <string>

namespace sockmesh::test {

struct CertificateFiles {
  std::string certificate;  // path, PEM
  std::string key;          // path, PEM
};

// An authority in `folder`, which exists and outlives it. Failures fail the test.
class CertificateAuthority {
 public:
  // `name` is part of the files' names.
  CertificateAuthority(std::string folder, std::string name);

  // The path of its own certificate, for those who trust it.
  std::string root() const { return folder_ + "/" + name_ + ".pem"; }
  // A certificate with this common name and this subjectAltName: "IP:127.0.0.1", "DNS:istiod.test".
  CertificateFiles sign(const std::string& commonName, const std::string& alternativeName) const;

 private:
  std::string folder_;
  std::string name_;
};

// The whole of a file.
std::string contentOf(const std::string& path);

}  // namespace sockmesh::test
