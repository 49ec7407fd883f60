/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Values of maps that the programs alone read and write. They are no part of the ABI. */
#ifndef SOCKMESH_MAP_VALUES_H
#define SOCKMESH_MAP_VALUES_H

#include "ip.h"

/* The addresses of a network namespace, kept for a while; see select/client_address.h. */
#define SM_NETNS_ADDRESS_SLOTS 4096 /* namespaces; a power of two */

struct sm_netns_address {
	__u64 netns_cookie; /* 0: being written */
	__u64 at_jiffies;
	__u64 hash4, hash6; /* 0: no address of that family */
	struct sm_ip six;
	__be32 four;
	__u32 pad;
};

/* Which client the processes of a cgroup and a network namespace are, kept for a while; see
 * conn/client.h. */
#define SM_CLIENTS_SEEN 1024 /* a power of two */

struct sm_client_seen {
	__u64 cgroup; /* its id; 0: being written */
	__u64 netns_cookie;
	__u64 at_jiffies;
	__u32 pods_epoch;
	__u32 client; /* place in `clients` */
};

/* Whether a pod is served, kept for a while; see select/served.h. */
#define SM_VERDICT_SLOTS 1024 /* a power of two */

struct sm_verdict {
	__u64 netns_cookie; /* 0: being written */
	__u64 cgroup_id;    /* 0: no rule asks for it */
	__u64 at_jiffies;
	__u32 epoch;
	__u32 reason; /* enum sm_unserved_reason */
};

/* Random numbers of a CPU; see policy/draw.h. */
struct sm_random {
	__u64 state; /* 0: not seeded */
};

/* The state of a Mersenne twister; see envoy/mersenne_twister.h. */
#define SM_TWISTER_WORDS 624

struct sm_twister {
	__u32 at; /* next word */
	__u32 word[SM_TWISTER_WORDS];
};

/* A shuffle at work, which is too large for the stack; see policy/bounded_load.h. */
#define SM_BALANCE_HOSTS   4096 /* beyond, hosts are drawn with replacement: not Envoy's order */
#define SM_BALANCE_SCRATCH 16

struct sm_balance_scratch {
	__u32 busy;
	struct sm_twister twister;
	__u16 order[SM_BALANCE_HOSTS];
};

/* The first hosts of a shuffle, kept because a client comes again; see policy/bounded_load.h. */
#define SM_BALANCE_KEPT	  14   /* hosts, so that an order is one cache line */
#define SM_BALANCE_ORDERS 1024 /* a power of two */

struct sm_balance_order {
	__u64 of; /* hosts of the group << 32 | seed; SM_BALANCE_BUSY: being written */
	__u32 host[SM_BALANCE_KEPT];
};

#define SM_BALANCE_BUSY 1ULL /* no group has 0 hosts */

#endif /* SOCKMESH_MAP_VALUES_H */
