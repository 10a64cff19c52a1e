/* What UDP lacks: no more on its way than the reader has room for, and an end.
 *
 * A TCP connection beside each UDP socket carries numbers of 8 bytes, most significant first. The receiver tells now and
 * then how many bytes it has read; the sender, in the end, how many it has sent, and an empty datagram has the receiver
 * look at that.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "internal.h"

/* Who has been told nothing new for so long takes what is on its way for lost. A wrong guess costs bytes at most, and they
 * are missed by the receiver. So many guesses in a row, and it is the receiver that is gone. */
enum { LOST_AFTER_MS = 500, MOST_GUESSES = 8 };

static int tell(int fd, uint64_t number)
{
	uint64_t told = htobe64(number);

	return send(fd, &told, sizeof(told), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* 1 where a number was told, 0 where none was in time. */
static int hear(int fd, uint64_t *number, int timeout_ms)
{
	struct pollfd control = {.fd = fd, .events = POLLIN};
	uint64_t told;
	ssize_t count;

	if (poll(&control, 1, timeout_ms) <= 0)
		return 0;
	count = recv(fd, &told, sizeof(told), MSG_WAITALL);
	if (count < 0)
		return errno == EINTR ? 0 : -errno;
	if (count != sizeof(told))
		return -EPIPE;
	*number = be64toh(told);
	return 1;
}

static bool has_room(const struct engine_sender *sender)
{
	uint64_t settled = sender->settled_bytes;

	return sender->bytes <= settled || sender->bytes + sender->message_bytes <= settled + sender->window_bytes;
}

static void settle(struct engine_sender *sender)
{
	sender->guesses = 0;
	if (sender->told_bytes > sender->settled_bytes)
		sender->settled_bytes = sender->told_bytes;
}

/* Waits until the receiver has room for one more message. */
int datagrams_make_room(struct engine_sender *sender)
{
	int waited_ms = 0;

	while (!has_room(sender)) {
		int result = hear(sender->control_fd, &sender->told_bytes, TICK_MS);

		if (result < 0)
			return result;
		if (sender->stop == ENGINE_STOP_NOW)
			return GIVEN_UP;
		if (result)
			settle(sender);
		waited_ms = result ? 0 : waited_ms + TICK_MS;
		if (waited_ms >= LOST_AFTER_MS && sender->guesses < MOST_GUESSES) {
			sender->guesses++;
			sender->settled_bytes = sender->bytes;
		}
	}
	return 0;
}

/* A receiver that is gone is noticed by whoever waits for it to close. */
void datagrams_end(struct engine_sender *sender)
{
	tell(sender->control_fd, sender->bytes);
	send(sender->fd, NULL, 0, MSG_NOSIGNAL);
}

/* Where in the stream a datagram begins. */
static uint64_t start_of(const struct engine_receiver *receiver, uint64_t number)
{
	uint64_t each = (receiver->message_bytes + receiver->segment_bytes - 1) / receiver->segment_bytes;

	return number / each * receiver->message_bytes + number % each * receiver->segment_bytes;
}

static bool is_that(const struct engine_receiver *receiver, uint64_t number, const uint8_t *bytes, uint64_t count)
{
	uint64_t start = start_of(receiver, number);
	uint64_t value = pattern_at(start / receiver->message_bytes, start % receiver->message_bytes);

	if (start_of(receiver, number + 1) - start != count)
		return false;
	for (uint64_t i = 0; i < count; i++, value += PATTERN_BY_POSITION)
		if (bytes[i] != (uint8_t)(value >> 56))
			return false;
	return true;
}

/* Which datagram it is: the next one, unless some were lost or overtaken; it is the next one's bytes that are wrong where
 * it is none of those that could be on their way. */
static uint64_t number_of(const struct engine_receiver *receiver, const uint8_t *bytes, uint64_t count)
{
	uint64_t next = receiver->next_datagram, most = 4 * receiver->report_bytes / receiver->segment_bytes + 4;

	for (uint64_t away = 0; away <= most; away++) {
		if (is_that(receiver, next + away, bytes, count))
			return next + away;
		if (away <= next && is_that(receiver, next - away, bytes, count))
			return next - away;
	}
	return next;
}

/* Where in the stream it begins; what should come next is what follows it. */
uint64_t place_of_datagram(struct engine_receiver *receiver, const uint8_t *bytes, uint64_t count)
{
	uint64_t number = number_of(receiver, bytes, count);

	receiver->next_datagram = number + 1;
	return start_of(receiver, number);
}

/* As often as the sender asked for: never so seldom that it would wait for ever. */
static int report(struct engine_receiver *receiver)
{
	if (receiver->bytes - receiver->reported_bytes < receiver->report_bytes)
		return 0;
	receiver->reported_bytes = receiver->bytes;
	return tell(receiver->control_fd, receiver->bytes);
}

static bool comes(const struct engine_receiver *receiver)
{
	struct pollfd socket = {.fd = receiver->fd, .events = POLLIN};

	return poll(&socket, 1, LOST_AFTER_MS) > 0;
}

/* Until all has come that was sent, or no more of it comes. */
int receive_datagrams(struct engine_receiver *receiver)
{
	take_some *way = taking(receiver);
	uint64_t sent = UINT64_MAX;
	int result = 0;

	while (result >= 0 && receiver->bytes < sent && (sent == UINT64_MAX || comes(receiver))) {
		ssize_t count = way(receiver);

		if (count > 0) {
			receiver->reads++;
			result = report(receiver);
		} else if (count == 0) {
			if (receiver->stop)
				break;
			result = hear(receiver->control_fd, &sent, 0);
		} else if (count != -EINTR) {
			result = (int)count;
		}
	}
	tell(receiver->control_fd, receiver->bytes);
	if (result < 0)
		return result;
	return receiver->expected_byte < 0 ? 0 : ENGINE_PATTERN;
}
