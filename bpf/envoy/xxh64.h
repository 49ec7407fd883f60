/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * xxHash64, seed 0, of short texts: what Envoy hashes a source address with. The algorithm is that
 * of the xxHash specification; only lengths up to SM_TEXT_MAX occur here (an IPv6 address).
 */
#ifndef SOCKMESH_XXH64_H
#define SOCKMESH_XXH64_H

#include "kernel.h"

#define SM_TEXT_MAX  64 /* a power of two: buffer size of a text */
#define SM_PRIME64_1 0x9E3779B185EBCA87ULL
#define SM_PRIME64_2 0xC2B2AE3D27D4EB4FULL
#define SM_PRIME64_3 0x165667B19E3779F9ULL
#define SM_PRIME64_4 0x85EBCA77C2B2AE63ULL
#define SM_PRIME64_5 0x27D4EB2F165667C5ULL

struct sm_text {
	__u32 length;
	__u32 pad;
	/* Bytes of the text, zeros after it; as words, since 8 bytes are taken at a time. */
	__u64 words[SM_TEXT_MAX / 8];
};

static __always_inline __u64 sm_rotl64(__u64 x, int by)
{
	return x << by | x >> (64 - by);
}

static __always_inline __u64 sm_xxh64_round(__u64 acc, __u64 input)
{
	return sm_rotl64(acc + input * SM_PRIME64_2, 31) * SM_PRIME64_1;
}

static __always_inline __u64 sm_xxh64_merge(__u64 hash, __u64 acc)
{
	return (hash ^ sm_xxh64_round(0, acc)) * SM_PRIME64_1 + SM_PRIME64_4;
}

static __always_inline __u64 sm_xxh64_avalanche(__u64 hash)
{
	hash ^= hash >> 33;
	hash *= SM_PRIME64_2;
	hash ^= hash >> 29;
	hash *= SM_PRIME64_3;
	return hash ^ hash >> 32;
}

SM_VERIFIED_ONCE __u64 sm_xxh64(const struct sm_text *text)
{
	__u64 hash = SM_PRIME64_5, word;
	__u32 length, at = 0;

	if (!text)
		return 0;
	length = text->length & (SM_TEXT_MAX - 1);
	if (length >= 32) { /* one stripe: lengths are below 64 */
		__u64 v1 = sm_xxh64_round(SM_PRIME64_1 + SM_PRIME64_2, text->words[0]);
		__u64 v2 = sm_xxh64_round(SM_PRIME64_2, text->words[1]);
		__u64 v3 = sm_xxh64_round(0, text->words[2]);
		__u64 v4 = sm_xxh64_round(-SM_PRIME64_1, text->words[3]);

		hash = sm_rotl64(v1, 1) + sm_rotl64(v2, 7) + sm_rotl64(v3, 12) + sm_rotl64(v4, 18);
		hash = sm_xxh64_merge(hash, v1);
		hash = sm_xxh64_merge(hash, v2);
		hash = sm_xxh64_merge(hash, v3);
		hash = sm_xxh64_merge(hash, v4);
		at = 4;
	}
	hash += length;
	for (int i = 0; i < 4 && (at + 1) * 8 <= length; i++, at++) {
		hash ^= sm_xxh64_round(0, text->words[at & 7]);
		hash = sm_rotl64(hash, 27) * SM_PRIME64_1 + SM_PRIME64_4;
	}
	word = text->words[at & 7];
	if (length & 4) {
		hash ^= (word & 0xffffffff) * SM_PRIME64_1;
		hash = sm_rotl64(hash, 23) * SM_PRIME64_2 + SM_PRIME64_3;
		word >>= 32;
	}
	for (__u32 i = 0; i < 3 && i < (length & 3); i++) {
		hash ^= (word & 0xff) * SM_PRIME64_5;
		hash = sm_rotl64(hash, 11) * SM_PRIME64_1;
		word >>= 8;
	}
	return sm_xxh64_avalanche(hash);
}

#endif /* SOCKMESH_XXH64_H */
