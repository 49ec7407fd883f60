// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The product's lookup and selection, called in a loop without a socket: BPF_PROG_TEST_RUN does not
 * run sock_addr programs. A syscall program is sleepable, so it takes the RCU read lock that every
 * cgroup program runs under.
 */
#define SM_WITHOUT_RANGES /* a syscall program is sleepable */
#include "select/choice.h"
#include "select/lookup.h"
#include "select_args.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;

struct loop {
	struct select_args *args;
	__u64 missed, foreign, balanced, other;
};

static long nothing(__u64 i, void *unused)
{
	return 0;
}

/* Service s is 10.96.<s>:80; its endpoints are 127.100.<s>.<n>, so that an endpoint tells whose it
 * is. */
static long select_once(__u64 i, struct loop *loop)
{
	struct select_args *args = loop->args;
	__u32 service = args->first + (__u32)i % args->count;
	struct sm_dest to = {
		.addr.word = {0, 0, bpf_htonl(0xffff),
			      bpf_htonl((10U << 24) | (96U << 16) | service)},
		.port_be = bpf_htons(80),
		.protocol = IPPROTO_TCP,
		.family = SM_FAMILY_V4,
		.socket_family = SM_FAMILY_V4,
	};
	struct sm_choice choice = {};
	struct sm_target target;
	struct sm_descriptor *d;
	__u32 owner;

	bpf_rcu_read_lock();
	d = sm_lookup(&to);
	if (!d) {
		loop->missed++;
		goto out;
	}
	if (args->spin)
		bpf_loop(args->spin, nothing, NULL, 0);
	sm_select(d, i * 0x9e3779b97f4a7c15ULL, 1, &choice);
	if (!sm_target_of(choice.endpoint_id, &target)) {
		loop->other++;
		goto out;
	}
	if (args->spin)
		bpf_loop(args->spin, nothing, NULL, 0);
	owner = (bpf_ntohl(target.endpoint->addr_be[3]) >> 8) & 0xff;
	if (owner != service)
		loop->foreign++;
	else
		loop->balanced++;
out:
	bpf_rcu_read_unlock();
	return 0;
}

SEC("syscall")
int select_many(struct select_args *args)
{
	struct loop loop = {};
	struct select_args local = {
		.iterations = args->iterations,
		.first = args->first,
		.count = args->count ? args->count : 1,
		.spin = args->spin,
	};
	loop.args = &local;
	bpf_loop(local.iterations, select_once, &loop, 0);
	args->missed = loop.missed;
	args->foreign = loop.foreign;
	args->balanced = loop.balanced;
	args->other = loop.other;
	return 0;
}
