/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Records whose end TCP does not report: no SYN ever left, or another program took the requested
 * callbacks away. The outcome is read from the socket, as far as the socket knows it.
 */
#ifndef SOCKMESH_UNTOLD_H
#define SOCKMESH_UNTOLD_H

#include "conn/outcome.h"

/* Whether TCP's state changes are reported: the socket calls back what was set last. */
static __always_inline int sm_calls_back(const struct sock *sk)
{
	__u8 asked = SM_READ(struct tcp_sock, sk, bpf_sock_ops_cb_flags);

	return asked & BPF_SOCK_OPS_STATE_CB_FLAG;
}

/* While a handshake is under way, its end may come on another CPU at any time. */
static __always_inline int sm_in_handshake(const struct sock *sk)
{
	__u8 state = SM_READ(struct sock, sk, __sk_common.skc_state);

	return state == BPF_TCP_SYN_SENT || state == BPF_TCP_SYN_RECV;
}

/*
 * Why an attempt failed whose end was not reported. Usually the application has read the error and
 * so cleared it. Then TCP ended the attempt by itself, because it was refused or had waited long.
 * An application that disconnects leaves ECONNRESET.
 */
static __always_inline enum sm_failure sm_guess_failure(const struct sm_connection *record,
							const struct sock *sk)
{
	int error = SM_READ(struct sock, sk, sk_err);

	if (error == ECONNRESET)
		return SM_FAILURE_ABANDONED;
	if (error == ETIMEDOUT)
		return sm_gave_up(record);
	if (error)
		return sm_connect_failure(error);
	return sm_is_overdue(record, bpf_ktime_get_ns()) ? SM_FAILURE_TIMED_OUT
							 : SM_FAILURE_REFUSED;
}

/* How an established connection ended, or ends now that its application closes it. A socket that
 * is closed before it got the peer's FIN was reset. */
static __always_inline enum sm_close sm_guess_close(const struct sock *sk)
{
	int error = SM_READ(struct sock, sk, sk_err);
	unsigned long flags = SM_READ(struct sock, sk, __sk_common.skc_flags);

	if (error)
		return sm_close_reason(error, BPF_TCP_ESTABLISHED);
	if (SM_READ(struct sock, sk, __sk_common.skc_state) == BPF_TCP_CLOSE &&
	    !(flags & (1UL << SM_SOCK_DONE)))
		return SM_CLOSE_RESET_BY_PEER;
	return SM_CLOSE_CLEAN;
}

static __always_inline void sm_count_untold_close(const struct sm_connection *record,
						  const struct sock *sk)
{
	struct sm_endpoint_stats *stats = sm_endpoint_stats(record->endpoint_id);
	unsigned long flags = SM_READ(struct sock, sk, __sk_common.skc_flags);
	__u64 sent = SM_READ(struct tcp_sock, sk, bytes_acked);
	__u64 received = SM_READ(struct tcp_sock, sk, bytes_received);
	__u64 theirs = flags & (1UL << SM_SOCK_DONE) ? 1 : 0;
	enum sm_close close = sm_guess_close(sk);

	if (!stats)
		return;
	if (close < SM_CLOSES)
		SM_ADD(stats->closed[close], 1);
	SM_ADD(stats->sent_bytes, sent > 1 ? sent - 1 : 0); /* without the SYN */
	SM_ADD(stats->received_bytes, received > theirs ? received - theirs : 0);
	SM_ADD(stats->retransmits, SM_READ(struct tcp_sock, sk, total_retrans));
	SM_ADD(stats->rtt_us[sm_histogram_bucket(SM_READ(struct tcp_sock, sk, srtt_us) >> 3)], 1);
}

/* The outcome of a connection whose callbacks were lost, as its socket knows it. */
static __always_inline void sm_guess_outcome(struct sm_connection *record)
{
	const struct sock *sk = (const struct sock *)(long)record->sk;

	if (record->state == SM_CONN_CONNECTING &&
	    SM_READ(struct sock, sk, __sk_common.skc_state) == BPF_TCP_CLOSE) {
		record->client = sm_client_of_sock(record->sk);
		sm_attempt_failed(record, sm_guess_failure(record, sk));
	} else if (record->state == SM_CONN_CONNECTING) {
		sm_count_failure(record, SM_FAILURE_ABANDONED);
	} else if (record->state == SM_CONN_ESTABLISHED) {
		sm_count_untold_close(record, sk);
	}
}

/* The outcome of a connection whose socket is gone. */
static __always_inline void sm_assume_outcome(const struct sm_connection *record)
{
	struct sm_endpoint_stats *stats = sm_endpoint_stats(record->endpoint_id);

	if (record->state == SM_CONN_CONNECTING)
		sm_count_failure(record, SM_FAILURE_ABANDONED);
	else if (record->state == SM_CONN_ESTABLISHED && stats)
		SM_ADD(stats->closed[SM_CLOSE_CLEAN], 1);
}

/* A connected UDP socket is closed, or connects elsewhere. */
static __always_inline void sm_count_datagram_close(const struct sm_connection *record)
{
	struct sm_endpoint_stats *stats = sm_endpoint_stats(record->endpoint_id);

	if (stats && record->state == SM_CONN_ANSWERED)
		SM_ADD(stats->closed[SM_CLOSE_CLEAN], 1);
}

/*
 * Takes the connection of the socket with this cookie out of all counts. Its record stays claimed,
 * in the state SM_CONN_FREE: the caller frees it or fills it in. `gone`: the socket is no more.
 */
SM_VERIFIED_ONCE int sm_conn_settle(__u64 cookie, int gone)
{
	struct sm_connection *record = sm_conn_find(cookie).record;

	if (!record)
		return 0;
	if (record->state == SM_CONN_PENDING) {
		sm_count_failure(record, SM_FAILURE_LOCAL);
	} else if (sm_is_datagram(record)) {
		sm_count_datagram_close(record);
	} else if (gone) {
		sm_assume_outcome(record);
	} else {
		sm_count(SM_COUNTER_CALLBACKS_LOST);
		sm_guess_outcome(record);
	}
	sm_conn_leave(record);
	record->state = SM_CONN_FREE;
	return 1;
}

/* Ends the record of a socket that connects elsewhere, if it has one. */
SM_VERIFIED_ONCE int sm_conn_forget(__u64 cookie)
{
	struct sm_conn_ref ref = sm_conn_find(cookie);

	if (!ref.record)
		return 0;
	sm_conn_settle(cookie, 0);
	sm_conn_free(ref);
	return 1;
}

#endif /* SOCKMESH_UNTOLD_H */
