/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Arguments and results of distribute.bpf.c's distribute. */
#ifndef SOCKMESH_TEST_DISTRIBUTE_ARGS_H
#define SOCKMESH_TEST_DISTRIBUTE_ARGS_H

#include <linux/types.h>

#define DISTRIBUTE_IDS	  4096 /* endpoint ids that are told apart; others count as `broken` */
#define DISTRIBUTE_HASHES 65536

struct distribute_args {
	__u32 iterations;
	__u32 given; /* selection i has hash hashes[i % DISTRIBUTE_HASHES], else a random one */
	__u32 hold;  /* each choice stays: the endpoint's active connections grow by one */
	__u32 pad;
	__u64 missed; /* no frontend */
	__u64 refused;
	__u64 left_alone;
	__u64 broken; /* left alone because a table led nowhere */
};

#endif
