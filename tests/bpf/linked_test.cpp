// SPDX-License-Identifier: Apache-2.0
// Objects that include the headers of bpf/ link with each other. Every global function of a header
// is weak, and every map is there once.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

#include "bpf/select_args.h"
#include "sockmesh_abi.h"
#include "tests/linked.skel.h"

namespace sockmesh::test {
namespace {

using Linked = std::unique_ptr<linked_bpf, decltype(&linked_bpf::destroy)>;

TEST(LinkedObjects, TwoThatSelectEndpointsLoadAsOneWithEachMapOnce) {
  const Linked linked(linked_bpf::open(), &linked_bpf::destroy);
  ASSERT_NE(linked, nullptr);
  std::multiset<std::string> maps;
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, linked->obj) maps.insert(bpf_map__name(map));
  EXPECT_EQ(maps.count("frontends4"), 1u);
  EXPECT_EQ(maps.count("netns_addresses"), 1u);
  EXPECT_EQ(maps.count("balance_scratch"), 1u);
  ASSERT_EQ(linked_bpf::load(linked.get()), 0);
  EXPECT_GE(bpf_program__fd(linked->progs.sm_connect4), 0);

  select_args args{};
  args.iterations = 7;
  args.first = 1;
  args.count = 1;
  LIBBPF_OPTS(bpf_test_run_opts, run, .ctx_in = &args, .ctx_size_in = sizeof(args));
  ASSERT_EQ(bpf_prog_test_run_opts(bpf_program__fd(linked->progs.select_many), &run), 0);
  EXPECT_EQ(args.missed, 7u) << "there are no services";
}

}  // namespace
}  // namespace sockmesh::test
