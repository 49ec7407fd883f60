/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Random draws. The kernel's generator costs two calls a number. This one is SplitMix64 (Steele,
 * Lea and Flood, 2014) with a state for each CPU, which the kernel's generator seeds: from Linux
 * 6.10 on it costs no call. A task of the same CPU may come in between, and then both may draw the
 * same number.
 */
#ifndef SOCKMESH_DRAW_H
#define SOCKMESH_DRAW_H

#include "maps.h"

#define SM_SPLITMIX_STEP 0x9e3779b97f4a7c15ULL

/* 64 random bits. */
static __always_inline __u64 sm_draw64(void)
{
	__u32 zero = 0;
	struct sm_random *random = bpf_map_lookup_elem(&random_state, &zero);
	__u64 bits = random ? READ_ONCE(random->state) : 0;

	if (unlikely(!bits))
		bits = (__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32();
	bits += SM_SPLITMIX_STEP;
	if (random)
		WRITE_ONCE(random->state, bits);
	bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9ULL;
	bits = (bits ^ bits >> 27) * 0x94d049bb133111ebULL;
	return bits ^ bits >> 31;
}

/* 32 random bits. */
static __always_inline __u32 sm_draw(void)
{
	return (__u32)(sm_draw64() >> 32);
}

/* Uniform in [0, size). */
static __always_inline __u32 sm_uniform(__u32 size)
{
	return (__u32)(((__u64)sm_draw() * size) >> 32);
}

#endif /* SOCKMESH_DRAW_H */
