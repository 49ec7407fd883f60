// SPDX-License-Identifier: Apache-2.0
// The file with the last accepted configuration: a header with a magic word, a format version, the
// length and a checksum, and then a sockmesh.cache.v1.Configuration.
#pragma once

#include <string>

#include "base/result.h"
#include "sockmesh/cache/v1/cache.pb.h"

namespace sockmesh {

// Replaces the file as a whole: after a crash at any time it is the old one or the new one. Its
// folder is made where it is missing.
Status writeCacheFile(const std::string& path, const sockmesh::cache::v1::Configuration& content);

// The Error says what is wrong with a file that is truncated, changed or of another version. Its
// errnum() is ENOENT where there is no file.
Result<sockmesh::cache::v1::Configuration> readCacheFile(const std::string& path);

}  // namespace sockmesh
