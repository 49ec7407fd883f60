// SPDX-License-Identifier: Apache-2.0
// Holds a command's document to docs/schemas. shown() of node_fixture.h does it for every document.
#pragma once

#include "document.h"

namespace sockmesh::ctl::test {

// Fails the test if the document's JSON is not as its schema says.
void expectSchema(const Document& document);

}  // namespace sockmesh::ctl::test
