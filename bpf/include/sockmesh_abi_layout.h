/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sizes and offsets of everything in sockmesh_abi.h, asserted wherever it is compiled: by clang for
 * BPF and by the agent's compiler. tools/checks/abi.py counts and writes the assertions.
 */
#ifndef SOCKMESH_ABI_LAYOUT_H
#define SOCKMESH_ABI_LAYOUT_H

#ifdef __cplusplus
#define SM_STATIC_ASSERT static_assert
#else
#define SM_STATIC_ASSERT _Static_assert
#endif
#define SM_ASSERT_SIZE(type, size) SM_STATIC_ASSERT(sizeof(type) == (size), #type)
#define SM_ASSERT_AT(type, field, at)                                                              \
	SM_STATIC_ASSERT(__builtin_offsetof(type, field) == (at), #type "." #field)

SM_ASSERT_SIZE(struct sm_frontend4_key, 8);
SM_ASSERT_AT(struct sm_frontend4_key, addr_be, 0);
SM_ASSERT_AT(struct sm_frontend4_key, port_be, 4);
SM_ASSERT_AT(struct sm_frontend4_key, protocol, 6);
SM_ASSERT_SIZE(struct sm_frontend6_key, 20);
SM_ASSERT_AT(struct sm_frontend6_key, addr_be, 0);
SM_ASSERT_AT(struct sm_frontend6_key, port_be, 16);
SM_ASSERT_AT(struct sm_frontend6_key, protocol, 18);
SM_ASSERT_SIZE(struct sm_descriptor, 64);
SM_ASSERT_AT(struct sm_descriptor, addr_be, 0);
SM_ASSERT_AT(struct sm_descriptor, port_be, 16);
SM_ASSERT_AT(struct sm_descriptor, protocol, 18);
SM_ASSERT_AT(struct sm_descriptor, family, 19);
SM_ASSERT_AT(struct sm_descriptor, service_id, 20);
SM_ASSERT_AT(struct sm_descriptor, group_first, 24);
SM_ASSERT_AT(struct sm_descriptor, group_count, 28);
SM_ASSERT_AT(struct sm_descriptor, pick_cell, 32);
SM_ASSERT_AT(struct sm_descriptor, pick_size, 36);
SM_ASSERT_AT(struct sm_descriptor, flags, 40);
SM_ASSERT_AT(struct sm_descriptor, affinity_s, 44);
SM_ASSERT_AT(struct sm_descriptor, ipv4_only, 48);
SM_ASSERT_AT(struct sm_descriptor, ipv6_only, 52);
SM_ASSERT_SIZE(struct sm_group, 64);
SM_ASSERT_AT(struct sm_group, policy, 0);
SM_ASSERT_AT(struct sm_group, cluster_id, 4);
SM_ASSERT_AT(struct sm_group, reason, 8);
SM_ASSERT_AT(struct sm_group, flags, 12);
SM_ASSERT_AT(struct sm_group, table_cell, 16);
SM_ASSERT_AT(struct sm_group, table_size, 20);
SM_ASSERT_AT(struct sm_group, host_cell, 24);
SM_ASSERT_AT(struct sm_group, host_count, 28);
SM_ASSERT_AT(struct sm_group, choice_count, 32);
SM_ASSERT_AT(struct sm_group, bias_q16, 36);
SM_ASSERT_AT(struct sm_group, balance_percent, 40);
SM_ASSERT_AT(struct sm_group, ring_shift, 44);
SM_ASSERT_AT(struct sm_group, priority, 48);
SM_ASSERT_AT(struct sm_group, leg, 50);
SM_ASSERT_AT(struct sm_group, locality_id, 52);
SM_ASSERT_AT(struct sm_group, cursor, 56);
SM_ASSERT_SIZE(union sm_cell, 16);
SM_ASSERT_AT(union sm_cell, alias.threshold, 0);
SM_ASSERT_AT(union sm_cell, alias.here, 4);
SM_ASSERT_AT(union sm_cell, alias.other, 8);
SM_ASSERT_AT(union sm_cell, alias.inverse_q16, 12);
SM_ASSERT_AT(union sm_cell, ring.hash, 0);
SM_ASSERT_AT(union sm_cell, ring.host, 8);
SM_ASSERT_AT(union sm_cell, words, 0);
SM_ASSERT_AT(union sm_cell, weight_bits, 0);
SM_ASSERT_SIZE(struct sm_endpoint, 64);
SM_ASSERT_AT(struct sm_endpoint, addr_be, 0);
SM_ASSERT_AT(struct sm_endpoint, port_be, 16);
SM_ASSERT_AT(struct sm_endpoint, family, 18);
SM_ASSERT_AT(struct sm_endpoint, eds_health, 19);
SM_ASSERT_AT(struct sm_endpoint, cluster_id, 20);
SM_ASSERT_AT(struct sm_endpoint, locality_id, 24);
SM_ASSERT_AT(struct sm_endpoint, weight, 28);
SM_ASSERT_AT(struct sm_endpoint, priority, 32);
SM_ASSERT_AT(struct sm_endpoint, other_addr_be, 36);
SM_ASSERT_AT(struct sm_endpoint, other_port_be, 52);
SM_ASSERT_AT(struct sm_endpoint, other_family, 54);
SM_ASSERT_SIZE(struct sm_endpoint_state, 128);
SM_ASSERT_AT(struct sm_endpoint_state, active, 0);
SM_ASSERT_AT(struct sm_endpoint_state, consecutive_failures, 4);
SM_ASSERT_AT(struct sm_endpoint_state, ejected_until_ns, 8);
SM_ASSERT_AT(struct sm_endpoint_state, served, 16);
SM_ASSERT_AT(struct sm_endpoint_state, served_before, 24);
SM_ASSERT_AT(struct sm_endpoint_state, served_by, 32);
SM_ASSERT_AT(struct sm_endpoint_state, served_epoch, 48);
SM_ASSERT_AT(struct sm_endpoint_state, withdrawn, 52);
SM_ASSERT_AT(struct sm_endpoint_state, ejected_at_ns, 64);
SM_ASSERT_AT(struct sm_endpoint_state, unejected_at_ns, 72);
SM_ASSERT_AT(struct sm_endpoint_state, ejections, 80);
SM_ASSERT_AT(struct sm_endpoint_state, multiplier, 84);
SM_ASSERT_AT(struct sm_endpoint_state, detector, 88);
SM_ASSERT_SIZE(struct sm_endpoint_stats, 256);
SM_ASSERT_AT(struct sm_endpoint_stats, selected, 0);
SM_ASSERT_AT(struct sm_endpoint_stats, established, 8);
SM_ASSERT_AT(struct sm_endpoint_stats, failed, 16);
SM_ASSERT_AT(struct sm_endpoint_stats, closed, 64);
SM_ASSERT_AT(struct sm_endpoint_stats, sent_bytes, 96);
SM_ASSERT_AT(struct sm_endpoint_stats, received_bytes, 104);
SM_ASSERT_AT(struct sm_endpoint_stats, retransmits, 112);
SM_ASSERT_AT(struct sm_endpoint_stats, disputed, 120);
SM_ASSERT_AT(struct sm_endpoint_stats, connect_us, 128);
SM_ASSERT_AT(struct sm_endpoint_stats, rtt_us, 192);
SM_ASSERT_SIZE(struct sm_consecutive_rule, 8);
SM_ASSERT_AT(struct sm_consecutive_rule, threshold, 0);
SM_ASSERT_AT(struct sm_consecutive_rule, enforcing_percent, 4);
SM_ASSERT_AT(struct sm_consecutive_rule, detector, 6);
SM_ASSERT_SIZE(struct sm_cluster_state, 64);
SM_ASSERT_AT(struct sm_cluster_state, active, 0);
SM_ASSERT_AT(struct sm_cluster_state, ejected, 4);
SM_ASSERT_AT(struct sm_cluster_state, ejection_limit, 8);
SM_ASSERT_AT(struct sm_cluster_state, jitter_ms, 12);
SM_ASSERT_AT(struct sm_cluster_state, consecutive, 16);
SM_ASSERT_AT(struct sm_cluster_state, connect_timeout_ns, 32);
SM_ASSERT_AT(struct sm_cluster_state, base_ejection_ns, 40);
SM_ASSERT_AT(struct sm_cluster_state, max_ejection_ns, 48);
SM_ASSERT_SIZE(struct sm_cluster_stats, 152);
SM_ASSERT_AT(struct sm_cluster_stats, refused_no_endpoints, 0);
SM_ASSERT_AT(struct sm_cluster_stats, left_alone, 8);
SM_ASSERT_AT(struct sm_cluster_stats, reselected, 16);
SM_ASSERT_AT(struct sm_cluster_stats, hash_fallback, 24);
SM_ASSERT_AT(struct sm_cluster_stats, ejections_overflow, 32);
SM_ASSERT_AT(struct sm_cluster_stats, ejections_detected, 40);
SM_ASSERT_AT(struct sm_cluster_stats, ejections_enforced, 96);
SM_ASSERT_SIZE(struct sm_agent_request, 16);
SM_ASSERT_AT(struct sm_agent_request, endpoint_id, 0);
SM_ASSERT_AT(struct sm_agent_request, detector, 4);
SM_ASSERT_AT(struct sm_agent_request, enforcing_percent, 8);
SM_ASSERT_AT(struct sm_agent_request, answer, 12);
SM_ASSERT_SIZE(struct sm_connection, 64);
SM_ASSERT_AT(struct sm_connection, cookie, 0);
SM_ASSERT_AT(struct sm_connection, vip_be, 8);
SM_ASSERT_AT(struct sm_connection, vip_port_be, 24);
SM_ASSERT_AT(struct sm_connection, state, 26);
SM_ASSERT_AT(struct sm_connection, flags, 27);
SM_ASSERT_AT(struct sm_connection, endpoint_id, 28);
SM_ASSERT_AT(struct sm_connection, other_ways, 32);
SM_ASSERT_AT(struct sm_connection, gone_mark, 36);
SM_ASSERT_AT(struct sm_connection, connect_at_ns, 40);
SM_ASSERT_AT(struct sm_connection, netns_cookie, 48);
SM_ASSERT_AT(struct sm_connection, sk, 56);
SM_ASSERT_SIZE(struct sm_sweep_sets, 16);
SM_ASSERT_AT(struct sm_sweep_sets, first, 0);
SM_ASSERT_AT(struct sm_sweep_sets, count, 4);
SM_ASSERT_AT(struct sm_sweep_sets, gone, 8);
SM_ASSERT_AT(struct sm_sweep_sets, ended, 12);
SM_ASSERT_SIZE(struct sm_sweep_cookies, 136);
SM_ASSERT_AT(struct sm_sweep_cookies, cookie, 0);
SM_ASSERT_AT(struct sm_sweep_cookies, gone, 128);
SM_ASSERT_AT(struct sm_sweep_cookies, ended, 132);
SM_ASSERT_SIZE(struct sm_affinity_key, 36);
SM_ASSERT_AT(struct sm_affinity_key, client_be, 0);
SM_ASSERT_AT(struct sm_affinity_key, vip_be, 16);
SM_ASSERT_AT(struct sm_affinity_key, vip_port_be, 32);
SM_ASSERT_AT(struct sm_affinity_key, protocol, 34);
SM_ASSERT_SIZE(struct sm_affinity, 40);
SM_ASSERT_AT(struct sm_affinity, addr_be, 0);
SM_ASSERT_AT(struct sm_affinity, port_be, 16);
SM_ASSERT_AT(struct sm_affinity, endpoint_id, 20);
SM_ASSERT_AT(struct sm_affinity, group, 24);
SM_ASSERT_AT(struct sm_affinity, host, 28);
SM_ASSERT_AT(struct sm_affinity, used_ns, 32);
SM_ASSERT_SIZE(struct sm_name_key, 8);
SM_ASSERT_AT(struct sm_name_key, id, 0);
SM_ASSERT_AT(struct sm_name_key, kind, 4);
SM_ASSERT_AT(struct sm_name_key, part, 6);
SM_ASSERT_SIZE(struct sm_name, 120);
SM_ASSERT_AT(struct sm_name, length, 0);
SM_ASSERT_AT(struct sm_name, parts, 2);
SM_ASSERT_AT(struct sm_name, text, 8);
SM_ASSERT_SIZE(struct sm_event, 32);
SM_ASSERT_AT(struct sm_event, kind, 0);
SM_ASSERT_AT(struct sm_event, endpoint_id, 4);
SM_ASSERT_AT(struct sm_event, cluster_id, 8);
SM_ASSERT_AT(struct sm_event, detector, 12);
SM_ASSERT_AT(struct sm_event, detection, 16);
SM_ASSERT_AT(struct sm_event, at_ns, 24);
SM_ASSERT_SIZE(struct sm_globals, 16);
SM_ASSERT_AT(struct sm_globals, agent_start_ns, 0);
SM_ASSERT_AT(struct sm_globals, agent_tgid, 8);
SM_ASSERT_AT(struct sm_globals, conn_overflow_live, 12);
SM_ASSERT_SIZE(struct sm_settings, 8);
SM_ASSERT_AT(struct sm_settings, conn_set_mask, 0);

#endif /* SOCKMESH_ABI_LAYOUT_H */
