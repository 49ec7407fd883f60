// SPDX-License-Identifier: Apache-2.0
// GET and POST /logging.
#pragma once

#include "admin/http_message.h"

namespace sockmesh {

HttpResponse handleLogging(const HttpRequest& request);

}  // namespace sockmesh
