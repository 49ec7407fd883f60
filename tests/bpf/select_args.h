/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Arguments and results of select.bpf.c's select_many. */
#ifndef SOCKMESH_TEST_SELECT_ARGS_H
#define SOCKMESH_TEST_SELECT_ARGS_H

#include <linux/types.h>

struct select_args {
	__u32 iterations;
	__u32 first;	/* first service number */
	__u32 count;	/* services, taken in turn */
	__u32 spin;	/* turns of an empty loop between the steps: widens every race */
	__u64 missed;	/* no frontend */
	__u64 foreign;	/* an endpoint of another service */
	__u64 balanced; /* an endpoint of its own */
	__u64 other;	/* refused or left alone */
};

#endif
