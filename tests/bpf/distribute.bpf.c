// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Many selections of the service 10.96.0.1:80, counted by endpoint. See select.bpf.c for why it is
 * a syscall program that takes the RCU read lock.
 */
#define SM_WITHOUT_RANGES /* a syscall program is sleepable */
#include "select/choice.h"
#include "select/lookup.h"
#include "distribute_args.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;

/* How often each endpoint id was chosen. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, DISTRIBUTE_IDS);
	__type(key, __u32);
	__type(value, __u64);
} picks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, DISTRIBUTE_HASHES);
	__type(key, __u32);
	__type(value, __u64);
} hashes SEC(".maps");

/* Which endpoint id selection i (modulo the size) chose; SM_NONE: none. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, DISTRIBUTE_HASHES);
	__type(key, __u32);
	__type(value, __u64);
} chosen SEC(".maps");

static __always_inline __u64 hash_of(const struct distribute_args *args, __u32 at)
{
	__u64 *given = bpf_map_lookup_elem(&hashes, &at);

	return args->given && given ? *given : 0;
}

static __always_inline void count(struct distribute_args *args, const struct sm_choice *choice,
				  __u32 at)
{
	__u64 *pick, *last = bpf_map_lookup_elem(&chosen, &at);
	struct sm_endpoint_state *state;

	if (last)
		*last = choice->endpoint_id;
	if (choice->policy == SM_POLICY_REFUSE) {
		args->refused++;
		return;
	}
	if (!choice->endpoint_id) {
		if (choice->reason)
			args->left_alone++;
		else
			args->broken++;
		return;
	}
	pick = bpf_map_lookup_elem(&picks, &choice->endpoint_id);
	if (!pick) {
		args->broken++;
		return;
	}
	*pick += 1;
	state = endpoint_state_at(choice->endpoint_id);
	if (args->hold && state)
		__sync_fetch_and_add(&state->active, 1);
}

static long distribute_one(__u64 i, struct distribute_args *args)
{
	struct sm_dest to = {
		.addr.word = {0, 0, bpf_htonl(0xffff), bpf_htonl((10U << 24) | (96U << 16) | 1)},
		.port_be = bpf_htons(80),
		.protocol = IPPROTO_TCP,
		.family = SM_FAMILY_V4,
		.socket_family = SM_FAMILY_V4,
	};
	__u32 at = (__u32)i % DISTRIBUTE_HASHES;
	struct sm_choice choice = {};
	struct sm_descriptor *d;

	bpf_rcu_read_lock();
	d = sm_lookup(&to);
	if (d) {
		sm_select(d, hash_of(args, at), !!args->given, &choice);
		count(args, &choice, at);
	} else {
		args->missed++;
	}
	bpf_rcu_read_unlock();
	return 0;
}

SEC("syscall")
int distribute(struct distribute_args *args)
{
	struct distribute_args local = {
		.iterations = args->iterations,
		.given = args->given,
		.hold = args->hold,
	};

	bpf_loop(local.iterations, distribute_one, &local, 0);
	args->missed = local.missed;
	args->refused = local.refused;
	args->left_alone = local.left_alone;
	args->broken = local.broken;
	return 0;
}
