// SPDX-License-Identifier: Apache-2.0
// Large meshes are in the kernel whole, also while they grow.
#include <gmock/gmock.h>

#include "support/datapath_test.h"
#include "support/size_mesh.h"

namespace sockmesh::test {
namespace {

using ::testing::IsEmpty;

class Size : public DatapathTest {
 protected:
  DatapathOptions options() const override {
    DatapathOptions out = DatapathTest::options();
    out.maxServices = SM_DEFAULT_MAX_SERVICES;
    return out;
  }

  void install(const SizeMesh& mesh) {
    const auto report = writer_->apply(mesh.tables());
    EXPECT_THAT(report.errors, IsEmpty());
  }
};

TEST_F(Size, TenThousandServicesOfTenEndpointsAreThere) {
  const SizeMesh mesh{.services = 10000, .endpoints = 10};
  install(mesh);
  EXPECT_THAT(mesh.differences(datapath_->maps()), IsEmpty());
}

TEST_F(Size, AHundredThousandServicesAreThere) {
  const SizeMesh mesh{.services = 100000, .endpoints = 1};
  install(mesh);
  EXPECT_THAT(mesh.differences(datapath_->maps()), IsEmpty());
}

// Several pages of each table, one after another. What a smaller mesh had is never written again,
// and an agent that starts between two sizes finds all of it.
TEST_F(Size, GrowthLosesNothing) {
  for (const int services : {1, 10, 500, 2000}) {
    SCOPED_TRACE(services);
    const SizeMesh mesh{.services = services, .endpoints = 8};
    const std::size_t before = writer_->services();
    const auto report = writer_->apply(mesh.tables());
    EXPECT_THAT(report.errors, IsEmpty());
    EXPECT_EQ(report.servicesAdded, static_cast<std::size_t>(services) - before);
    EXPECT_EQ(report.servicesChanged, 0U);
    EXPECT_THAT(mesh.differences(datapath_->maps()), IsEmpty());
    open();
    EXPECT_EQ(writer_->services(), static_cast<std::size_t>(services));
    EXPECT_EQ(writer_->apply(mesh.tables()).writes, 0U);
  }
}

}  // namespace
}  // namespace sockmesh::test
