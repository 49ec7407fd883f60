/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Arithmetic of doubles in integers: what Envoy computes with a host's weight. */
#ifndef SOCKMESH_DOUBLE_H
#define SOCKMESH_DOUBLE_H

#include "kernel.h"

static __always_inline __u32 sm_bit_length(__u64 x)
{
	__u32 length = 0;

#pragma unroll
	for (int shift = 32; shift; shift >>= 1) {
		if (x >> shift) {
			x >>= shift;
			length += shift;
		}
	}
	return length + (x ? 1 : 0);
}

/*
 * max(1, ceil(total * weight)) in double arithmetic, for a double 0 < weight <= 1 that is given by
 * its bits. The product is rounded to 53 bits, ties to even, before the ceiling is taken. The
 * rounding matters: 100 * 0.28 is a little more than 28.
 */
SM_VERIFIED_ONCE __u32 sm_double_ceil_product(__u32 total, __u64 weight)
{
	__u64 mantissa = (weight & ((1ULL << 52) - 1)) | 1ULL << 52;
	__u32 exponent = (__u32)(weight >> 52) & 0x7ff;
	__u64 low, high, product, rest;
	__u32 shift, drop;

	if (exponent < 1023 - 40 || exponent > 1023 || !total)
		return 1; /* below 2^-40 of at most 2^32, or no weight at all */
	/* weight is mantissa * 2^-shift; total * mantissa is high * 2^32 + low, high >= 2^20. */
	shift = 1075 - exponent;
	low = (__u64)total * (mantissa & 0xffffffff);
	high = (__u64)total * (mantissa >> 32) + (low >> 32);
	low &= 0xffffffff;
	/* Down to 53 bits. */
	drop = sm_bit_length(high) - 21;
	if (drop > 32)
		return 1;
	product = (high << (32 - drop)) | (low >> drop);
	rest = low & ((1ULL << drop) - 1);
	if (drop && (rest > 1ULL << (drop - 1) || (rest == 1ULL << (drop - 1) && (product & 1))))
		product++;
	shift -= drop;
	if (shift > 53)
		return 1;
	product = (product + (1ULL << shift) - 1) >> shift;
	return product ? (__u32)product : 1;
}

#endif /* SOCKMESH_DOUBLE_H */
