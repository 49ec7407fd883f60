// SPDX-License-Identifier: Apache-2.0
// The part of the configuration that has resources itself, or names files that have them.
#pragma once

#include "decode/field_errors.h"
#include "sockmesh/config/v1/config.pb.h"
#include "sources/file_source.h"

namespace sockmesh {

// Mistakes in resources go to `errors`, below "local_resources", with the paths of their fields.
FileSource::Options takeLocalResources(const sockmesh::config::v1::LocalResources& proto,
                                       FieldErrors& errors);

}  // namespace sockmesh
