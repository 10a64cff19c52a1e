// SPDX-License-Identifier: GPL-2.0
/*
 * Kernel TLS: what each record adds to the payload, and how many there were. Its context says so until close() frees it,
 * which is before the socket ends.
 */

#ifdef HAVE_k_tls_adds
#define NAME_OF_TLS 0x736c74	/* "tls", include/net/tcp.h: struct tcp_ulp_ops */

/* include/uapi/linux/tls.h: ciphers with a key of 32 bytes; of the others it has 16. */
enum { AES_GCM_256 = 52, CHACHA20_POLY1305 = 54, ARIA_GCM_256 = 58 };

/* What setsockopt() was given ends with the number of the first record, behind the key and, together, 12 bytes more. */
static __always_inline u64 first_number(void *given)
{
	u64 number = 0;
	u16 cipher = 0;
	bool is_long;

	READ(cipher, given + 2);
	is_long = cipher == AES_GCM_256 || cipher == CHACHA20_POLY1305 || cipher == ARIA_GCM_256;
	READ(number, given + (is_long ? 48 : 32));
	return __builtin_bswap64(number);
}

/* Until 6.7 the number of the next record has memory of its own. */
static __always_inline u32 records_since(void *number, void *given)
{
	u64 next = 0;

#ifdef TLS_NUMBERS_APART
	READ(number, number);
#endif
	READ(next, number);
	return __builtin_bswap64(next) - first_number(given);
}

static __always_inline void ask_tls(struct row *row, struct k_sock *sk)
{
	struct k_connection *connection = (void *)sk;
	struct k_tls *tls = NULL;
	struct k_ulp *ulp = NULL;
	u32 name = 0;
	u16 adds = 0;

	READ(ulp, &connection->ulp);
	if (!ulp)
		return;
	READ(name, &ulp->name);
	READ(tls, &connection->ulp_context);
	if (name != NAME_OF_TLS || !tls)
		return;
	READ(row->tls_version, &tls->version);
	READ(row->tls_cipher, &tls->cipher);
	READ(adds, &tls->adds);
	row->record_adds = adds;
	row->records_out = records_since(&tls->sent, &tls->keys_out) - row->records_out_before;
	row->records_in = records_since(&tls->came, &tls->keys_in) - row->records_in_before;
}
#else
static __always_inline void ask_tls(struct row *row, struct k_sock *sk)
{
}
#endif
