/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* std::mt19937, by which Envoy shuffles hosts. */
#ifndef SOCKMESH_MERSENNE_TWISTER_H
#define SOCKMESH_MERSENNE_TWISTER_H

#include "map_values.h"

#define SM_TWISTER_MIDDLE  397
#define SM_TWISTER_REDRAWS 8

struct sm_twister_seeding {
	struct sm_twister *twister;
	__u32 x;
	__u32 pad;
};

/* Words that one step seeds. A step is a call, and a word is some cycles. */
#define SM_TWISTER_STEP 16

static long sm_twister_seed_some(__u64 i, struct sm_twister_seeding *seeding)
{
	__u64 first = i * SM_TWISTER_STEP;
	__u32 x = seeding->x;

	if (first > SM_TWISTER_WORDS - SM_TWISTER_STEP)
		return 1;
#pragma unroll
	for (__u32 j = 0; j < SM_TWISTER_STEP; j++) {
		seeding->twister->word[first + j] = x;
		x = 1812433253U * (x ^ (x >> 30)) + (__u32)first + j + 1;
	}
	seeding->x = x;
	return 0;
}

/* std::mt19937 with this seed. */
static __always_inline void sm_twister_seed(struct sm_twister *twister, __u32 seed)
{
	struct sm_twister_seeding seeding = {.twister = twister, .x = seed};

	twister->at = 0;
	bpf_loop(SM_TWISTER_WORDS / SM_TWISTER_STEP, sm_twister_seed_some, &seeding, 0);
}

/*
 * A word of the state. Its index is checked here, in a word that the compiler knows nothing of: the
 * compiler would shorten the check to "is not 624", which the verifier of Linux 6.1 takes for no
 * bound.
 */
static __always_inline __u32 sm_twister_word(const struct sm_twister *twister, __u64 at)
{
	asm volatile("" : "+r"(at));
	return at < SM_TWISTER_WORDS ? twister->word[at] : 0;
}

/* Renews one word at a time. The numbers are the same as if all 624 were renewed at once. */
SM_VERIFIED_ONCE __u32 sm_twister_next(struct sm_twister *twister)
{
	__u32 at, next, middle, x;

	if (!twister)
		return 0;
	at = twister->at;
	if (at >= SM_TWISTER_WORDS)
		at = 0;
	next = at + 1 < SM_TWISTER_WORDS ? at + 1 : 0;
	middle = at + SM_TWISTER_MIDDLE;
	if (middle >= SM_TWISTER_WORDS)
		middle -= SM_TWISTER_WORDS;
	x = (sm_twister_word(twister, at) & 0x80000000U) |
	    (sm_twister_word(twister, next) & 0x7fffffffU);
	x = sm_twister_word(twister, middle) ^ (x >> 1) ^ (x & 1 ? 0x9908b0dfU : 0);
	twister->word[at] = x;
	twister->at = next;
	x ^= x >> 11;
	x ^= (x << 7) & 0x9d2c5680U;
	x ^= (x << 15) & 0xefc60000U;
	return x ^ (x >> 18);
}

/* Uniform in [0, k): Envoy's own way to it. */
SM_VERIFIED_ONCE __u32 sm_twister_below(struct sm_twister *twister, __u32 k)
{
	__u64 step, x = k;

	if (!twister || !k)
		return 0;
	step = (1ULL << 32) / k;
	for (int i = 0; i < SM_TWISTER_REDRAWS && x >= k; i++)
		x = sm_twister_next(twister) / step;
	return x < k ? (__u32)x : 0;
}

#endif /* SOCKMESH_MERSENNE_TWISTER_H */
