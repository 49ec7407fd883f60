/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The hash of an address as Envoy's source_ip hash policy has it: xxHash64 of the address as text
 * (inet_ntop's form), without port.
 */
#ifndef SOCKMESH_IP_TEXT_H
#define SOCKMESH_IP_TEXT_H

#include "envoy/xxh64.h"
#include "ip.h"

static __always_inline void sm_text_append(struct sm_text *text, char c)
{
	__u32 at = text->length & (SM_TEXT_MAX - 1);

	((char *)text->words)[at] = c;
	text->length = at + 1;
}

SM_VERIFIED_ONCE int sm_text_append_byte(struct sm_text *text, __u32 byte)
{
	if (!text)
		return 0;
	byte &= 0xff;
	if (byte >= 100)
		sm_text_append(text, '0' + byte / 100);
	if (byte >= 10)
		sm_text_append(text, '0' + byte / 10 % 10);
	sm_text_append(text, '0' + byte % 10);
	return 0;
}

/* Appends up to four hexadecimal digits, without leading zeros. */
SM_VERIFIED_ONCE int sm_text_append_hextet(struct sm_text *text, __u32 value)
{
	__u32 started = 0;

	if (!text)
		return 0;
	for (int shift = 12; shift >= 0; shift -= 4) {
		__u32 digit = (value >> shift) & 0xf;

		started |= digit;
		if (started || !shift)
			sm_text_append(text, digit < 10 ? '0' + digit : 'a' + digit - 10);
	}
	return 0;
}

SM_VERIFIED_ONCE int sm_text_append_char(struct sm_text *text, __u32 c)
{
	if (text)
		sm_text_append(text, (char)c);
	return 0;
}

/* The longest row of two or more set bits of eight, the first of equals: start | length << 8. */
SM_VERIFIED_ONCE int sm_longest_zeros(__u32 bits)
{
	__u32 rows = bits & 0xff, length = 0, start = 0;

	for (__u32 n = 2; n <= 8; n++) {
		rows &= (bits & 0xff) >> (n - 1);
		if (!rows)
			break;
		length = n;
		start = 0;
		for (__u32 i = 0; i < 8; i++) {
			if (rows & (1U << i)) {
				start = i;
				break;
			}
		}
	}
	return (int)(start | length << 8);
}

static __always_inline __u32 sm_ip_hextet(const struct sm_ip *ip, int i)
{
	__u32 word = bpf_ntohl(ip->word[i >> 1]);

	return i & 1 ? word & 0xffff : word >> 16;
}

SM_VERIFIED_ONCE int sm_text_append_ip4(struct sm_text *text, __u32 address)
{
	if (!text)
		return 0;
	sm_text_append_byte(text, address >> 24);
	sm_text_append(text, '.');
	sm_text_append_byte(text, address >> 16);
	sm_text_append(text, '.');
	sm_text_append_byte(text, address >> 8);
	sm_text_append(text, '.');
	sm_text_append_byte(text, address);
	return 0;
}

/* As inet_ntop() writes it: the longest row of two or more zero hextets is "::". */
SM_VERIFIED_ONCE int sm_text_append_ip6(struct sm_text *text, const struct sm_ip *ip)
{
	__u32 zeros = 0, row, start, end;

	if (!text || !ip)
		return 0;
#pragma unroll
	for (int i = 0; i < 8; i++)
		zeros |= (__u32)!sm_ip_hextet(ip, i) << i;
	row = (__u32)sm_longest_zeros(zeros);
	start = row & 0xff;
	end = start + (row >> 8);
#pragma unroll
	for (__u32 i = 0; i < 8; i++) {
		if (i >= start && i < end) {
			if (i == start || i == 7)
				sm_text_append_char(text, ':');
			continue;
		}
		if (i)
			sm_text_append_char(text, ':');
		sm_text_append_hextet(text, sm_ip_hextet(ip, i));
	}
	return 0;
}

static __always_inline __u64 sm_hash4(__be32 addr_be)
{
	struct sm_text text = {};

	sm_text_append_ip4(&text, bpf_ntohl(addr_be));
	return sm_xxh64(&text);
}

static __always_inline __u64 sm_hash6(const struct sm_ip *ip)
{
	struct sm_text text = {};

	sm_text_append_ip6(&text, ip);
	return sm_xxh64(&text);
}

#endif /* SOCKMESH_IP_TEXT_H */
