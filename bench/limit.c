/*
 * The limit without batching: a WebSocket server on one epoll loop that knows nothing but this: whatever text frame
 * comes on a connection to `/publish` goes at once, by one `send()` of the ready frame, to every other connection.
 *
 *     limit PORT      prints `ready` when it listens, ends with SIGTERM or when its input closes
 *
 * There is no log, no topic, no access, no batching: what any server that writes each message by itself must do at
 * least.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, IN_BYTES = 1 << 20, UNSENT_BYTES_MAX = 16 << 20, CONNECTIONS_MAX = 1 << 16 };
enum { REQUEST, SUBSCRIBER, PUBLISHER };

typedef struct {
    uint8_t *data;
    size_t size, room;
} Bytes;

typedef struct {
    int fd, kind;
    Bytes in, unsent;
} Connection;

static int poll_fd;
static Connection *connections[CONNECTIONS_MAX]; /* by descriptor */
static int subscribers[CONNECTIONS_MAX], subscriber_count;
static uint8_t chunk[IN_BYTES];

static void add(Bytes *bytes, const void *data, size_t size) {
    if (bytes->size + size > bytes->room) {
        bytes->room = (bytes->size + size) * 2;
        bytes->data = realloc(bytes->data, bytes->room);
        if (!bytes->data) exit(1);
    }
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

static void drop(Bytes *bytes, size_t size) {
    bytes->size -= size;
    memmove(bytes->data, bytes->data + size, bytes->size);
}

static void release(Bytes *bytes) {
    free(bytes->data);
    memset(bytes, 0, sizeof *bytes);
}

/* The answer to a key: SHA-1 (RFC 3174) of at most 64 - 9 bytes more than one block, in base64. */

static uint32_t rotated(uint32_t value, int bits) { return value << bits | value >> (32 - bits); }

static void sha1_block(uint32_t state[5], const uint8_t *block) {
    uint32_t w[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8 |
               block[4 * i + 3];
    for (int i = 16; i < 80; i++) w[i] = rotated(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i < 80; i++) {
        uint32_t f = i < 20   ? ((b & c) | (~b & d)) + 0x5A827999
                     : i < 40 ? (b ^ c ^ d) + 0x6ED9EBA1
                     : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8F1BBCDC
                              : (b ^ c ^ d) + 0xCA62C1D6;
        uint32_t next = rotated(a, 5) + f + e + w[i];
        e = d, d = c, c = rotated(b, 30), b = a, a = next;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
}

static void accept_key(const char *key, char *to) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t state[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    uint8_t text[128] = {0}, digest[24] = {0};
    int size = snprintf((char *)text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    text[size] = 0x80;
    text[126] = (uint8_t)(size * 8 >> 8);
    text[127] = (uint8_t)(size * 8);
    sha1_block(state, text);
    sha1_block(state, text + 64);
    for (int i = 0; i < 20; i++) digest[i] = (uint8_t)(state[i / 4] >> (24 - i % 4 * 8));
    for (int i = 0; i < 7; i++) {
        uint32_t three = (uint32_t)digest[3 * i] << 16 | (uint32_t)digest[3 * i + 1] << 8 | digest[3 * i + 2];
        for (int j = 0; j < 4; j++) to[4 * i + j] = letters[three >> (18 - 6 * j) & 63];
    }
    to[27] = '=';
    to[28] = 0;
}

/* Connections. */

static void watch(Connection *c, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.fd = c->fd};
    epoll_ctl(poll_fd, operation, c->fd, &event);
}

static void end(Connection *c) {
    for (int i = 0; i < subscriber_count; i++)
        if (subscribers[i] == c->fd) subscribers[i] = subscribers[--subscriber_count];
    connections[c->fd] = NULL;
    close(c->fd);
    release(&c->in);
    release(&c->unsent);
    free(c);
}

static void accept_all(int listener) {
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        Connection *c = fd < CONNECTIONS_MAX ? calloc(1, sizeof *c) : NULL;
        if (!c) {
            close(fd);
            continue;
        }
        c->fd = fd;
        connections[fd] = c;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(c, EPOLL_CTL_ADD, EPOLLIN);
    }
}

/* Returns whether the connection goes on. */
static int upgrade(Connection *c) {
    char answer[256], key[32];
    add(&c->in, "", 1);
    c->in.size--;
    const char *text = (const char *)c->in.data, *end = strstr(text, "\r\n\r\n");
    const char *found = strcasestr(text, "\r\nsec-websocket-key: ");
    if (!end) return c->in.size < 8192;
    if (!found) return 0;
    accept_key(found + 21, key);
    int size = snprintf(answer, sizeof answer,
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Accept: %s\r\n\r\n",
                        key);
    c->kind = strncmp(text, "GET /publish", 12) ? SUBSCRIBER : PUBLISHER;
    if (c->kind == SUBSCRIBER) subscribers[subscriber_count++] = c->fd;
    drop(&c->in, (size_t)(end + 4 - text));
    return send(c->fd, answer, (size_t)size, MSG_NOSIGNAL) == size;
}

static void send_one(Connection *c, const uint8_t *frame, size_t size) {
    ssize_t sent = c->unsent.size ? 0 : send(c->fd, frame, size, MSG_NOSIGNAL);
    if (sent == (ssize_t)size) return;
    if (sent < 0) sent = 0;
    if (!c->unsent.size) watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    if (c->unsent.size < UNSENT_BYTES_MAX) add(&c->unsent, frame + sent, size - (size_t)sent);
}

static void send_rest(Connection *c) {
    ssize_t sent = send(c->fd, c->unsent.data, c->unsent.size, MSG_NOSIGNAL);
    if (sent > 0) drop(&c->unsent, (size_t)sent);
    if (!c->unsent.size) watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

static void publish(const uint8_t *payload, size_t size) {
    static Bytes frame;
    uint8_t head[4] = {0x81, (uint8_t)(size < 126 ? size : 126), (uint8_t)(size >> 8), (uint8_t)size};
    frame.size = 0;
    add(&frame, head, size < 126 ? 2 : 4);
    add(&frame, payload, size);
    for (int i = 0; i < subscriber_count; i++) send_one(connections[subscribers[i]], frame.data, frame.size);
}

/* Whole masked frames of less than 64 KiB; returns whether the connection goes on. */
static int frames(Connection *c) {
    size_t at = 0;
    int goes_on = 1;
    while (goes_on && c->in.size - at >= 6) {
        uint8_t *head = c->in.data + at, *payload = head + 6;
        size_t size = head[1] & 127;
        if (!(head[1] & 128) || size == 127) return 0;
        if (size == 126) {
            if (c->in.size - at < 8) break;
            size = (size_t)head[2] << 8 | head[3];
            payload += 2;
        }
        if ((size_t)(c->in.data + c->in.size - payload) < size) break;
        for (size_t i = 0; i < size; i++) payload[i] ^= (payload - 4)[i & 3];
        if ((head[0] & 15) == 1 && c->kind == PUBLISHER) publish(payload, size);
        goes_on = (head[0] & 15) != 8;
        at = (size_t)(payload + size - c->in.data);
    }
    drop(&c->in, at);
    return goes_on;
}

static void event(Connection *c, uint32_t events) {
    if (events & EPOLLOUT) send_rest(c);
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
    ssize_t got = recv(c->fd, chunk, sizeof chunk, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got > 0) add(&c->in, chunk, (size_t)got);
    int goes_on = got > 0 && (c->kind != REQUEST || upgrade(c)) && (c->kind == REQUEST || frames(c));
    if (!goes_on)
        end(c);
    else if (!c->in.size)
        release(&c->in);
}

int main(int count, char **arguments) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct rlimit files;
    struct epoll_event events[EVENTS], event_of = {.events = EPOLLIN};
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (count != 2) return 2;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    address.sin_port = htons((uint16_t)atoi(arguments[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) return 1;
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    event_of.data.fd = listener;
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &event_of);
    event_of.data.fd = STDIN_FILENO;
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event_of);
    puts("ready");
    fflush(stdout);
    for (;;) {
        int got = epoll_wait(poll_fd, events, EVENTS, -1);
        for (int i = 0; i < got; i++) {
            int fd = events[i].data.fd;
            if (fd == STDIN_FILENO) return 0;
            if (fd == listener)
                accept_all(listener);
            else if (connections[fd])
                event(connections[fd], events[i].events);
        }
    }
}
