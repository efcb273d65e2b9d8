/*
 * The light load generator: thousands of WebSocket subscribers, and whoever publishes to them, in one thread on epoll.
 *
 * It is driven by lines on its standard input, and answers each with one line of JSON on its standard output, in order:
 * `{"ok":true, ...}` or `{"ok":false,"error":"..."}`. A command is a verb and `key=value` fields, separated by TABs, so
 * that values may hold spaces. It first prints `{"ok":true,"zlib":true|false}`. It ends when its input closes, and by
 * itself after 300 seconds. Times are CLOCK_MONOTONIC, which all processes of a machine share.
 *
 *   open    group= count= port= path= [tokens=FILE] [header=LINE]... [protocol=] [deflate=1] [subscribe=FILE]
 *           [replies=1] [witness=16] [sequence=every|rising] [receive_bytes=] [window=64] [timeout_s=120]
 *           Opens `count` connections, at most `window` handshakes at a time. `tokens`: one a line, `subscribe`: one
 *           line of TAB-separated text frames for each connection; both are gone through round robin. `{position}` in a
 *           frame stands for the position of the connection's last tick. `replies=1` waits for a `"type":"reply"` to
 *           each frame. `deflate=1` offers permessage-deflate. -> count, seconds
 *   reopen  group= [subscribe=FILE] [count=] [from=] [number=] [timeout_s=]   Opens closed connections again, each
 *           knowing the number it has seen last, so that gaps and repeats are found across the break; `number` is what
 *           a later `wait` will wait for. -> count, seconds
 *   publisher name= port= path= kind=ws|post template=FILE [token=] [header=LINE]... [protocol=] [array=1] [batch=1]
 *           [ahead=4] [next=1]   A connection to publish on; `@N@` in the template stands for the message's number,
 *           `@T@` for the time it was due, in nanoseconds. A text frame, or a POST, for each message; `array=1`
 *           posts up to `batch` of them as a JSON array; at most `ahead` requests are on their way. Numbers begin with
 *           `next`, or go on where the publisher of that name had been. An idle connection that the server has closed
 *           is opened again.
 *   one     publisher= group= count= [timeout_s=]   One message, until every connection of the group has it, then the
 *           next. -> seconds, number
 *   rate    publisher= hz= seconds= [every_ms=5]   Begins an open loop: every few ms what is due. Answers at once.
 *   finish  publisher= group= [timeout_s=5]   Waits until the loop has ended and all has arrived, or the time is over.
 *           -> sent, refused, complete, late_ms (the worst delay of sending itself), seconds
 *   wait    group= number= [timeout_s=]   Until every open connection has seen `number`. -> seconds, complete, and when
 *           the connections were there since `zero` or `reopen`: p50_ms, p99_ms, max_ms
 *   stop    group= [count=] [from=]   Stops reading of these connections.      go   group= [count=] [from=]   Goes on.
 *   close   group= [count=] [from=] [how=reset|end]   `reset` sends RST.
 *   zero    group=   Forgets what was counted, not the numbers seen last.
 *   report  group= [file=]   -> see `group_report`; `file` gets a line for each connection: index, state, frames,
 *           bytes, messages, last, gaps, repeats, nanoseconds from `zero` or `reopen` until the number waited for
 *   cpu     -> cpu_s of this process
 *
 * A message is what carries `"n":NUMBER`, with `,"t":NANOSECONDS` behind it. Its number must be one more than the last
 * (`sequence=every`), or more (`rising`). Every `witness`-th connection measures latencies. On compressed connections
 * only the witnesses inflate: inflating everything would make this process the bottleneck. Of all others only bytes are
 * counted; `unequal` of them have other bytes than the witnesses, and with any of those the message count is of the
 * witnesses alone. `witness=1` inflates all. A message in several fragments is not understood.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#ifndef WITHOUT_ZLIB
#include <zlib.h>
#endif

enum { RUN_S_MAX = 300, GROUPS_MAX = 16, PUBLISHERS_MAX = 4, FIELDS_MAX = 64, EVENTS = 256, POSITION_BYTES = 48 };
enum { READ_BYTES = 256 << 10, BUFFER_BYTES = 8 << 20, OUT_BYTES_MAX = 8 << 20, LINE_BYTES = 64 << 10 };
enum { BUCKETS_OCTAVE = 64, BUCKETS = 64 * BUCKETS_OCTAVE };
enum { WATCH_INPUT, WATCH_CONNECTION, WATCH_PUBLISHER };
enum { CLOSED, CONNECTING, UPGRADING, SUBSCRIBING, READY };
#define NS 1000000000LL
#define KEY "MDEyMzQ1Njc4OWFiY2RlZg=="

typedef struct {
    char **lines;
    size_t count;
} Lines;

typedef struct {
    uint8_t *data;
    size_t size, room;
} Bytes;

typedef struct {
    uint64_t bucket[BUCKETS], count;
    int64_t max;
} Histogram;

struct Group;

typedef struct {
    int watch; /* first in everything that epoll hands back */
    int fd, state, replies;
    uint8_t witness, deflated, stopped;
    uint32_t index, last_size;
    struct Group *group;
    uint64_t frames, bytes, messages, last, gaps, repeats;
    int64_t reached_ns;
    Bytes kept; /* the beginning of a frame whose rest has not come */
    char position[POSITION_BYTES];
#ifndef WITHOUT_ZLIB
    z_stream *inflater;
#endif
} Connection;

typedef struct Group {
    char name[32], path[256], protocol[128], headers[2048], error[512];
    int port, offers_deflate, wants_replies, witness, rising, receive_bytes, window;
    uint32_t count, ready, opening, lost, next;
    uint32_t first, end;               /* whom `open` and `reopen` are about */
    uint64_t target;                   /* the number that is waited for */
    uint32_t reached;                  /* how many have it */
    size_t at, stride;                 /* where the next message is guessed to be */
    int64_t zero_ns;
    Lines tokens, subscribe;
    Connection *connections;
    Histogram latency;
} Group;

typedef struct {
    int watch;
    int fd, port, posts, array, running, writable;
    char name[32], error[512];
    uint64_t batch, ahead, outstanding, next, refused;
    double hz;
    uint64_t total, sent;
    int64_t began_ns, tick_ns, every_ns, late_ns;
    char head[4096];
    Lines template; /* the parts around @N@ and @T@; `marks` says which comes after each */
    char marks[64];
    Bytes out, in;
} Publisher;

typedef struct {
    enum { NOTHING, OPEN, ONE, FINISH, WAIT } kind;
    Group *group;
    Publisher *publisher;
    int sending_ended;
    uint64_t count, number;
    int64_t began_ns, deadline_ns, checked_ns;
} Pending;

static int poll_fd;
static Group groups[GROUPS_MAX];
static Publisher publishers[PUBLISHERS_MAX];
static Pending pending;
static uint8_t *buffer, *inflated;
static char *fields[FIELDS_MAX];
static int field_count;

/* Small things. */

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS + now.tv_nsec;
}

static double cpu_s(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return use.ru_utime.tv_sec + use.ru_stime.tv_sec + (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static void *need(void *memory) {
    if (!memory) {
        fputs("no memory\n", stderr);
        exit(1);
    }
    return memory;
}

static void add(Bytes *bytes, const void *data, size_t size) {
    if (bytes->size + size > bytes->room) {
        bytes->room = (bytes->size + size) * 2;
        bytes->data = need(realloc(bytes->data, bytes->room));
    }
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

static void release(Bytes *bytes) {
    free(bytes->data);
    memset(bytes, 0, sizeof *bytes);
}

__attribute__((format(printf, 1, 2))) static void answer(const char *format, ...) {
    va_list values;
    va_start(values, format);
    vprintf(format, values);
    va_end(values);
    putchar('\n');
    fflush(stdout);
}

static void put_text(const char *text) {
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') putchar('\\');
        putchar((unsigned char)*text < 32 || (unsigned char)*text > 126 ? ' ' : *text);
    }
    putchar('"');
}

static void answer_error(const char *text) {
    printf("{\"ok\":false,\"error\":");
    put_text(text);
    answer("}");
}

/* A file's lines; an empty path gives none. Exits nothing: a file that is not there gives none either. */
static Lines read_lines(const char *path) {
    Lines lines = {0};
    FILE *file = path && *path ? fopen(path, "r") : NULL;
    char *line = NULL;
    size_t room = 0;
    ssize_t size;
    if (!file) return lines;
    while ((size = getline(&line, &room, file)) > 0) {
        if (line[size - 1] == '\n') line[size - 1] = 0;
        lines.lines = need(realloc(lines.lines, (lines.count + 1) * sizeof *lines.lines));
        lines.lines[lines.count++] = need(strdup(line));
    }
    free(line);
    fclose(file);
    return lines;
}

static void free_lines(Lines *lines) {
    for (size_t i = 0; i < lines->count; i++) free(lines->lines[i]);
    free(lines->lines);
    memset(lines, 0, sizeof *lines);
}

static void histogram_add(Histogram *histogram, int64_t ns) {
    uint64_t us = ns > 1000 ? (uint64_t)ns / 1000 : 1;
    int octave = 63 - __builtin_clzll(us);
    uint64_t part = octave >= 6 ? (us >> (octave - 6)) & 63 : (us << (6 - octave)) & 63;
    histogram->bucket[octave * BUCKETS_OCTAVE + part]++;
    histogram->count++;
    if (ns > histogram->max) histogram->max = ns;
}

/* Milliseconds, within 1.6 %. */
static double percentile(const Histogram *histogram, double share) {
    uint64_t wanted = (uint64_t)(share * (double)histogram->count), seen = 0;
    double most = (double)histogram->max / 1e6, value = most;
    for (int i = 0; i < BUCKETS && seen <= wanted && seen < histogram->count; i++) {
        seen += histogram->bucket[i];
        value = (1.0 + (i % BUCKETS_OCTAVE + 0.5) / BUCKETS_OCTAVE) * (double)(1ULL << i / BUCKETS_OCTAVE) / 1000;
    }
    return value < most ? value : most;
}

/* Fields of a command. */

static const char *text_of(const char *key, const char *otherwise) {
    size_t size = strlen(key);
    for (int i = 1; i < field_count; i++)
        if (!strncmp(fields[i], key, size) && fields[i][size] == '=') return fields[i] + size + 1;
    return otherwise;
}

static double number_of(const char *key, double otherwise) {
    const char *text = text_of(key, NULL);
    return text ? atof(text) : otherwise;
}

static void headers_of(char *to, size_t room) {
    size_t size = 0;
    *to = 0;
    for (int i = 1; i < field_count; i++)
        if (!strncmp(fields[i], "header=", 7) && size < room)
            size += (size_t)snprintf(to + size, room - size, "%s\r\n", fields[i] + 7);
}

static Group *group_of(const char *name) {
    for (int i = 0; i < GROUPS_MAX; i++)
        if (*groups[i].name && !strcmp(groups[i].name, name)) return &groups[i];
    return NULL;
}

static Publisher *publisher_of(const char *name) {
    for (int i = 0; i < PUBLISHERS_MAX; i++)
        if (*publishers[i].name && !strcmp(publishers[i].name, name)) return &publishers[i];
    return NULL;
}

/* WebSocket, the client's side. */

static void add_frame(Bytes *out, int opcode, const char *payload, size_t size) {
    uint8_t head[14] = {(uint8_t)(0x80 | opcode)};
    static const uint8_t key[4] = {1, 2, 3, 4};
    size_t at = 2;
    if (size < 126) {
        head[1] = (uint8_t)(0x80 | size);
    } else if (size < 65536) {
        head[1] = 0x80 | 126;
        head[at++] = (uint8_t)(size >> 8);
        head[at++] = (uint8_t)size;
    } else {
        head[1] = 0x80 | 127;
        for (int shift = 56; shift >= 0; shift -= 8) head[at++] = (uint8_t)((uint64_t)size >> shift);
    }
    memcpy(head + at, key, 4);
    add(out, head, at + 4);
    size_t start = out->size;
    add(out, payload, size);
    for (size_t i = 0; i < size; i++) out->data[start + i] ^= key[i & 3];
}

static int request(char *to, size_t room, const Group *group, const char *token) {
    char bearer[4096] = "", protocol[256] = "";
    if (token && *token) snprintf(bearer, sizeof bearer, "Authorization: Bearer %s\r\n", token);
    if (*group->protocol) snprintf(protocol, sizeof protocol, "Sec-WebSocket-Protocol: %s\r\n", group->protocol);
    return snprintf(to, room,
                    "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " KEY "\r\n%s%s%s%s\r\n",
                    group->path, group->port, bearer, protocol,
                    group->offers_deflate ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "", group->headers);
}

/* Sends at once what is small enough for an empty socket. */
static int send_all(int fd, const void *data, size_t size) {
    return send(fd, data, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static int address(struct sockaddr_in *to, int port) {
    memset(to, 0, sizeof *to);
    to->sin_family = AF_INET;
    to->sin_port = htons((uint16_t)port);
    to->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return sizeof *to;
}

/* Connections. */

static void watch(Connection *c, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(poll_fd, operation, c->fd, &event);
}

static void connection_close(Connection *c, int reset) {
    struct linger linger = {1, 0};
    Group *g = c->group;
    if (c->state == CLOSED) return;
    if (reset) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(c->fd);
    c->state == READY ? g->ready-- : g->opening--;
    if (c->state == READY && g->target && c->last >= g->target) g->reached--;
    c->state = CLOSED;
    c->stopped = 0;
    release(&c->kept);
#ifndef WITHOUT_ZLIB
    if (c->inflater) {
        inflateEnd(c->inflater);
        free(c->inflater);
        c->inflater = NULL;
    }
#endif
}

__attribute__((format(printf, 2, 3))) static void connection_lost(Connection *c, const char *format, ...) {
    Group *g = c->group;
    if (c->state == CLOSED) return;
    if (!*g->error) {
        va_list values;
        va_start(values, format);
        vsnprintf(g->error, sizeof g->error, format, values);
        va_end(values);
    }
    g->lost++;
    connection_close(c, 0);
}

static void connection_open(Connection *c) {
    struct sockaddr_in to, from = {.sin_family = AF_INET};
    int one = 1, size = address(&to, c->group->port);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        snprintf(c->group->error, sizeof c->group->error, "socket: %s", strerror(errno));
        c->group->lost++;
        return;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (c->group->receive_bytes)
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &c->group->receive_bytes, sizeof c->group->receive_bytes);
    /* The kernel's search for a free port becomes slow once half of them are taken: not more than that from one address. */
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + c->index / 8192);
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    bind(c->fd, (struct sockaddr *)&from, sizeof from);
    c->state = CONNECTING;
    c->group->opening++;
    if (connect(c->fd, (struct sockaddr *)&to, (socklen_t)size) < 0 && errno != EINPROGRESS) {
        connection_lost(c, "connect: %s", strerror(errno));
        return;
    }
    watch(c, EPOLL_CTL_ADD, EPOLLOUT);
}

static void connection_connected(Connection *c) {
    char text[8192];
    Group *g = c->group;
    int problem = 0;
    socklen_t size = sizeof problem;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &problem, &size);
    int length = request(text, sizeof text, g, g->tokens.count ? g->tokens.lines[c->index % g->tokens.count] : NULL);
    if (problem) {
        connection_lost(c, "connect: %s", strerror(problem));
    } else if (!send_all(c->fd, text, (size_t)length)) {
        connection_lost(c, "the request could not be sent");
    } else {
        c->state = UPGRADING;
        watch(c, EPOLL_CTL_MOD, EPOLLIN);
    }
}

static void connection_ready(Connection *c) {
    c->state = READY;
    c->group->opening--;
    c->group->ready++;
    if (c->group->target && c->last >= c->group->target) c->group->reached++;
}

/* One frame of the subscribe line, the position put in. */
static void add_subscribe(Bytes *out, const char *text, size_t size, const char *position) {
    static const char mark[] = "{position}";
    char filled[4096];
    const char *at = memmem(text, size, mark, sizeof mark - 1);
    if (!at) {
        add_frame(out, 1, text, size);
        return;
    }
    int length = snprintf(filled, sizeof filled, "%.*s%s%.*s", (int)(at - text), text, position,
                          (int)(text + size - at - (sizeof mark - 1)), at + sizeof mark - 1);
    add_frame(out, 1, filled, (size_t)length);
}

static void connection_subscribe(Connection *c) {
    Group *g = c->group;
    Bytes out = {0};
    c->state = SUBSCRIBING;
    c->replies = 0;
    if (g->subscribe.count) {
        const char *at = g->subscribe.lines[c->index % g->subscribe.count];
        while (*at) {
            size_t size = strcspn(at, "\t");
            add_subscribe(&out, at, size, c->position);
            c->replies++;
            at += size + (at[size] == '\t');
        }
    }
    if (!g->wants_replies) c->replies = 0;
    int sent = !out.size || send_all(c->fd, out.data, out.size);
    release(&out);
    if (!sent)
        connection_lost(c, "the commands could not be sent");
    else if (!c->replies)
        connection_ready(c);
}

/* Returns the bytes of the head, 0 while it has not come, -1 if the connection is lost. */
static ssize_t connection_upgraded(Connection *c, const uint8_t *data, size_t size) {
    const uint8_t *end = memmem(data, size, "\r\n\r\n", 4);
    if (!end) return 0;
    if (size < 12 || memcmp(data, "HTTP/1.1 101", 12)) {
        connection_lost(c, "no upgrade: %.*s", (int)(size < 300 ? size : 300), data);
        return -1;
    }
    c->deflated = memmem(data, (size_t)(end - data), "permessage-deflate", 18) != NULL;
#ifdef WITHOUT_ZLIB
    if (c->deflated) {
        connection_lost(c, "built without zlib");
        return -1;
    }
#else
    if (c->deflated && c->witness) {
        c->inflater = need(calloc(1, sizeof *c->inflater));
        inflateInit2(c->inflater, -15);
    }
#endif
    connection_subscribe(c);
    return c->state == CLOSED ? -1 : end + 4 - data;
}

/* Messages. */

static void message_seen(Connection *c, uint64_t number, int64_t sent_ns, int64_t arrived_ns) {
    Group *g = c->group;
    uint64_t last = c->last;
    c->messages++;
    if (number <= last) {
        c->repeats++;
        return;
    }
    if (last && number != last + 1 && !g->rising) c->gaps += number - last - 1;
    c->last = number;
    if (g->target && last < g->target && number >= g->target) {
        c->reached_ns = arrived_ns;
        if (c->state == READY) g->reached++;
    }
    if (c->witness && sent_ns) histogram_add(&g->latency, arrived_ns - sent_ns);
}

static const uint8_t *digits(const uint8_t *at, const uint8_t *end, uint64_t *value) {
    *value = 0;
    while (at < end && *at >= '0' && *at <= '9') *value = *value * 10 + (*at++ - '0');
    return at;
}

/*
 * All messages of a payload. Where the next one is, is guessed from the distance of the last two, so that a batch of
 * equal messages costs a few comparisons each. A guess counts only if the number there is the one that is due: it could
 * have passed over a shorter message.
 */
static void scan(Connection *c, const uint8_t *data, size_t size, int64_t arrived_ns) {
    static const char mark[] = "\"n\":", time_mark[] = ",\"t\":";
    Group *g = c->group;
    const uint8_t *end = data + size, *from = data, *before = NULL;
    for (;;) {
        const uint8_t *found = NULL, *guess = before ? before + g->stride : data + g->at, *behind = NULL;
        uint64_t number = 0, sent_ns = 0;
        for (int shift = 0; shift < 3 && !found; shift++)
            if (guess >= from && guess + shift + 5 < end && !memcmp(guess + shift, mark, 4)) found = guess + shift;
        if (found) behind = digits(found + 4, end, &number);
        if (!found || number != c->last + 1) {
            found = end - from < 8 ? NULL : memmem(from, (size_t)(end - from), mark, 4);
            if (!found) return;
            behind = digits(found + 4, end, &number);
        }
        if (before)
            g->stride = (size_t)(found - before);
        else
            g->at = (size_t)(found - data);
        before = found;
        from = behind;
        if (behind == found + 4) continue;
        if (end - from > 5 && !memcmp(from, time_mark, 5)) from = digits(from + 5, end, &sent_ns);
        message_seen(c, number, (int64_t)sent_ns, arrived_ns);
    }
}

static void keep_position(Connection *c, const uint8_t *data, size_t size) {
    static const char mark[] = "\"position\":\"";
    const uint8_t *at = memmem(data, size, mark, sizeof mark - 1);
    if (!at) return;
    at += sizeof mark - 1;
    const uint8_t *end = memchr(at, '"', (size_t)(data + size - at));
    if (!end || end - at >= POSITION_BYTES) return;
    memcpy(c->position, at, (size_t)(end - at));
    c->position[end - at] = 0;
}

static int is_tick(const uint8_t *data, size_t size) {
    static const char tick[] = "{\"type\":\"tick\"";
    return size > 20 && (!memcmp(data, tick, sizeof tick - 1) || !memcmp(data + 1, tick, sizeof tick - 1));
}

static void text_seen(Connection *c, const uint8_t *data, size_t size, int64_t arrived_ns) {
    if (c->state == SUBSCRIBING) {
        if (memmem(data, size, "\"type\":\"reply\"", 14)) {
            if (--c->replies == 0) connection_ready(c);
            return;
        }
        if (memmem(data, size, "\"type\":\"error\"", 14) || memmem(data, size, "\"type\":\"connection_error\"", 25)) {
            connection_lost(c, "%.*s", (int)(size < 300 ? size : 300), data);
            return;
        }
    }
    if (is_tick(data, size))
        keep_position(c, data, size);
    else
        scan(c, data, size, arrived_ns);
}

#ifndef WITHOUT_ZLIB
/* The inflated payload is in `inflated`; returns its size, 0 if it is damaged. */
static size_t inflate_payload(z_stream *stream, const uint8_t *data, size_t size) {
    static const uint8_t tail[4] = {0, 0, 0xff, 0xff};
    stream->next_out = inflated;
    stream->avail_out = BUFFER_BYTES;
    for (int part = 0; part < 2; part++) {
        stream->next_in = (uint8_t *)(part ? tail : data);
        stream->avail_in = (uInt)(part ? 4 : size);
        int status = inflate(stream, Z_SYNC_FLUSH);
        if (status == Z_STREAM_END)
            inflateReset(stream);
        else if (status != Z_OK && status != Z_BUF_ERROR)
            return 0;
    }
    return BUFFER_BYTES - stream->avail_out;
}

static void deflated_seen(Connection *c, const uint8_t *data, size_t size, int64_t arrived_ns) {
    static z_stream shared; /* for replies, of servers that do not keep a context */
    z_stream *stream = c->inflater;
    if (!stream) {
        if (c->state != SUBSCRIBING) return;
        stream = &shared;
        if (!shared.state) inflateInit2(&shared, -15);
        inflateReset(&shared);
    }
    size_t length = inflate_payload(stream, data, size);
    if (!length)
        connection_lost(c, "a payload could not be inflated");
    else
        text_seen(c, inflated, length, arrived_ns);
}
#endif

static void frame_seen(Connection *c, int head, const uint8_t *data, size_t size, int64_t arrived_ns) {
    int opcode = head & 15;
    if (opcode == 8) {
        int code = size >= 2 ? data[0] << 8 | data[1] : 0;
        connection_lost(c, "closed by the server: %d %.*s", code, (int)(size > 2 ? size - 2 : 0), data + 2);
    } else if (opcode == 9) {
        Bytes out = {0};
        add_frame(&out, 10, (const char *)data, size);
        send_all(c->fd, out.data, out.size);
        release(&out);
    } else if (opcode <= 2) {
        c->frames++;
        c->bytes += size;
        if (!(head & 0x40)) {
            if (!c->deflated || c->witness || c->state == SUBSCRIBING) text_seen(c, data, size, arrived_ns);
        }
#ifndef WITHOUT_ZLIB
        else
            deflated_seen(c, data, size, arrived_ns);
#endif
    }
}

static void connection_read(Connection *c) {
    size_t kept = c->kept.size, at = 0;
    if (kept) memcpy(buffer, c->kept.data, kept);
    size_t room = BUFFER_BYTES - kept;
    ssize_t got = recv(c->fd, buffer + kept, room < READ_BYTES ? room : READ_BYTES, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        connection_lost(c, got ? strerror(errno) : room ? "closed by the server" : "a frame is too large");
        return;
    }
    int64_t arrived_ns = now_ns();
    size_t size = kept + (size_t)got;
    if (c->state == UPGRADING) {
        ssize_t head = connection_upgraded(c, buffer, size);
        if (head < 0) return;
        at = (size_t)head;
    }
    while (c->state >= SUBSCRIBING && size - at >= 2) {
        size_t length = buffer[at + 1] & 127, start = at + 2;
        size_t wide = length == 126 ? 2 : length == 127 ? 8 : 0;
        if (size - start < wide) break;
        if (wide) {
            length = 0;
            for (size_t i = 0; i < wide; i++) length = length << 8 | buffer[start + i];
            start += wide;
        }
        if (size - start < length) break;
        frame_seen(c, buffer[at], buffer + start, length, arrived_ns);
        at = start + length;
    }
    if (c->state == CLOSED) return;
    c->kept.size = 0;
    if (at < size)
        add(&c->kept, buffer + at, size - at);
    else if (c->kept.room > 4096)
        release(&c->kept);
}

static void connection_event(Connection *c, uint32_t events) {
    if (c->state == CLOSED) return;
    if (c->state == CONNECTING)
        connection_connected(c);
    else if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        connection_read(c);
}

/* Groups. */

static void group_open_some(Group *g) {
    while (g->next < g->end && g->opening < (uint32_t)g->window && !g->lost) {
        Connection *c = &g->connections[g->next++];
        if (c->state == CLOSED) connection_open(c);
    }
}

static void group_target(Group *g, uint64_t number) {
    if (g->target == number) return; /* who has it, and since when, is being kept already */
    g->target = number;
    g->reached = 0;
    for (uint32_t i = 0; i < g->count; i++) {
        Connection *c = &g->connections[i];
        c->reached_ns = c->last >= number ? g->zero_ns : 0;
        if (c->state == READY && c->last >= number) g->reached++;
    }
}

/* Of compressed connections: how many have other bytes than the first witness. */
static uint32_t group_unequal(const Group *g) {
    uint32_t unequal = 0;
    const Connection *witness = NULL;
    for (uint32_t i = 0; i < g->count && !witness; i++)
        if (g->connections[i].state == READY && g->connections[i].witness) witness = &g->connections[i];
    for (uint32_t i = 0; i < g->count && witness; i++) {
        const Connection *c = &g->connections[i];
        unequal += c->state == READY && c->deflated && !c->witness && c->bytes != witness->bytes;
    }
    return unequal;
}

static uint32_t group_blind(const Group *g) {
    uint32_t blind = 0;
    for (uint32_t i = 0; i < g->count; i++) {
        const Connection *c = &g->connections[i];
        blind += c->state == READY && c->deflated && !c->witness;
    }
    return blind;
}

/* Whether everybody has the target; of compressed connections, the witnesses, and all others the same bytes. */
static int group_complete(Group *g) {
    if (g->reached == g->ready || !g->target) return 1;
    if (!g->offers_deflate) return 0;
    return g->reached + group_blind(g) == g->ready && !group_unequal(g);
}

static void group_free(Group *g) {
    for (uint32_t i = 0; i < g->count; i++) connection_close(&g->connections[i], 1);
    free(g->connections);
    free_lines(&g->tokens);
    free_lines(&g->subscribe);
    memset(g, 0, sizeof *g);
}

static void range_of(const Group *g, uint32_t *first, uint32_t *end) {
    double from = number_of("from", 0), count = number_of("count", g->count);
    *first = from < g->count ? (uint32_t)from : g->count;
    *end = *first + count < g->count ? (uint32_t)(*first + count) : g->count;
}

static void group_zero(Group *g) {
    g->zero_ns = now_ns();
    g->target = 0;
    memset(&g->latency, 0, sizeof g->latency);
    for (uint32_t i = 0; i < g->count; i++) {
        Connection *c = &g->connections[i];
        c->frames = c->bytes = c->messages = c->gaps = c->repeats = 0;
        c->reached_ns = 0;
    }
}

static void group_report(Group *g) {
    uint64_t frames = 0, bytes = 0, messages = 0, gaps = 0, repeats = 0, seen = 0, least = UINT64_MAX, most = 0;
    uint32_t unequal = group_unequal(g), blind = group_blind(g), deflated = 0;
    const char *path = text_of("file", NULL);
    FILE *file = path ? fopen(path, "w") : NULL;
    for (uint32_t i = 0; i < g->count; i++) {
        Connection *c = &g->connections[i];
        frames += c->frames, bytes += c->bytes, messages += c->messages, gaps += c->gaps, repeats += c->repeats;
        if (file)
            fprintf(file, "%u\t%d\t%llu\t%llu\t%llu\t%llu\t%llu\t%llu\t%lld\n", i, c->state,
                    (unsigned long long)c->frames, (unsigned long long)c->bytes, (unsigned long long)c->messages,
                    (unsigned long long)c->last, (unsigned long long)c->gaps, (unsigned long long)c->repeats,
                    (long long)(c->reached_ns ? c->reached_ns - g->zero_ns : -1));
        deflated += c->deflated;
        if (c->state != READY || (c->deflated && !c->witness)) continue;
        seen++;
        if (c->last < least) least = c->last;
        if (c->last > most) most = c->last;
    }
    if (file) fclose(file);
    if (blind && seen && !unequal) messages = messages / seen * g->ready;
    answer("{\"ok\":true,\"open\":%u,\"lost\":%u,\"deflated\":%u,\"unequal\":%u,\"frames\":%llu,\"payload_bytes\":%llu,"
           "\"messages\":%llu,\"gaps\":%llu,\"repeats\":%llu,\"least\":%llu,\"most\":%llu,\"latencies\":%llu,"
           "\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"position\":\"%s\",\"cpu_s\":%.6f,\"wall_s\":%.6f}",
           g->ready, g->lost, deflated, unequal, (unsigned long long)frames, (unsigned long long)bytes,
           (unsigned long long)messages, (unsigned long long)gaps, (unsigned long long)repeats,
           (unsigned long long)(seen ? least : 0), (unsigned long long)most, (unsigned long long)g->latency.count,
           percentile(&g->latency, 0.5), percentile(&g->latency, 0.99), (double)g->latency.max / 1e6,
           g->count ? g->connections[0].position : "", cpu_s(), (double)(now_ns() - g->zero_ns) / NS);
}

/* Publishers. */

static void publisher_watch(Publisher *p) {
    int writable = p->out.size > 0;
    struct epoll_event event = {.events = EPOLLIN | (writable ? EPOLLOUT : 0), .data.ptr = p};
    if (writable == p->writable) return;
    p->writable = writable;
    epoll_ctl(poll_fd, EPOLL_CTL_MOD, p->fd, &event);
}

static void publisher_lost(Publisher *p, const char *why) {
    if (!*p->error) snprintf(p->error, sizeof p->error, "the publisher's connection: %.400s", why);
    if (p->fd >= 0) close(p->fd);
    p->fd = -1;
    p->running = 0;
}

static void publisher_write(Publisher *p) {
    if (p->fd < 0 || !p->out.size) return;
    ssize_t sent = send(p->fd, p->out.data, p->out.size, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        publisher_lost(p, strerror(errno));
        return;
    }
    if (sent > 0) {
        p->out.size -= (size_t)sent;
        memmove(p->out.data, p->out.data + sent, p->out.size);
    }
    publisher_watch(p);
}

static void add_message(Publisher *p, Bytes *to, int64_t due_ns) {
    char text[24];
    for (size_t i = 0; i < p->template.count; i++) {
        add(to, p->template.lines[i], strlen(p->template.lines[i]));
        if (p->marks[i] == 'N') add(to, text, (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)p->next));
        if (p->marks[i] == 'T') add(to, text, (size_t)snprintf(text, sizeof text, "%lld", (long long)due_ns));
    }
    p->next++;
}

static void publisher_send(Publisher *p, uint64_t count, int64_t due_ns) {
    static Bytes body;
    char length[64];
    for (uint64_t left = count; left;) {
        body.size = 0;
        uint64_t some = p->posts && p->array ? (left < p->batch ? left : p->batch) : 1;
        if (p->array) add(&body, "[", 1);
        for (uint64_t i = 0; i < some; i++) {
            if (i) add(&body, ",", 1);
            add_message(p, &body, due_ns);
        }
        if (p->array) add(&body, "]", 1);
        left -= some;
        if (p->posts) {
            add(&p->out, p->head, strlen(p->head));
            add(&p->out, length, (size_t)snprintf(length, sizeof length, "Content-Length: %zu\r\n\r\n", body.size));
            add(&p->out, body.data, body.size);
            p->outstanding++;
        } else {
            add_frame(&p->out, 1, (const char *)body.data, body.size);
        }
    }
}

/* Sends what is due, unless too much is on its way: then it is sent later, stamped with the time it was due. */
static void publisher_turn(Publisher *p, int64_t now) {
    if (!p->running || now < p->tick_ns) return;
    p->tick_ns = now + p->every_ns;
    uint64_t due = (uint64_t)((double)(now - p->began_ns) * p->hz / NS);
    if (due > p->total) due = p->total;
    uint64_t most = p->posts ? p->batch : 64;
    while (p->sent < due) {
        if (p->posts && p->outstanding >= p->ahead) {
            p->tick_ns = now;
            break;
        }
        if (p->out.size > OUT_BYTES_MAX) break;
        uint64_t some = due - p->sent < most ? due - p->sent : most;
        p->sent += some;
        int64_t due_ns = p->began_ns + (int64_t)((double)p->sent / p->hz * NS);
        if (due_ns > now) due_ns = now;
        if (now - due_ns > p->late_ns) p->late_ns = now - due_ns;
        publisher_send(p, some, due_ns);
    }
    publisher_write(p);
    if (p->sent == p->total) p->running = 0;
}

/* The size of a whole HTTP answer at `data`, 0 while it has not come. */
static size_t http_answer(const uint8_t *data, size_t size, int *status) {
    const uint8_t *end = memmem(data, size, "\r\n\r\n", 4);
    if (!end) return 0;
    size_t head = (size_t)(end + 4 - data), body = 0;
    *status = size > 12 ? atoi((const char *)data + 9) : 0;
    for (const uint8_t *at = data; at < end; at++) {
        if (*at != '\n') continue;
        if (!strncasecmp((const char *)at + 1, "content-length:", 15)) body = strtoul((const char *)at + 16, NULL, 10);
        if (!strncasecmp((const char *)at + 1, "transfer-encoding: chunked", 26)) {
            const uint8_t *last = memmem(end, size - (size_t)(end - data), "\r\n0\r\n\r\n", 7);
            return last ? (size_t)(last + 7 - data) : 0;
        }
    }
    return head + body <= size ? head + body : 0;
}

static void publisher_answers(Publisher *p) {
    size_t at = 0, one;
    int status = 0;
    if (!p->posts) {
        /* Replies of one publisher are small frames; only an error among them matters. */
        const uint8_t *bad = memmem(p->in.data, p->in.size, "\"type\":\"error\"", 14);
        if (bad) {
            p->refused++;
            snprintf(p->error, sizeof p->error, "%.*s", (int)(p->in.data + p->in.size - bad), (const char *)bad);
        }
        p->in.size = 0;
        return;
    }
    add(&p->in, "", 1); /* so that the text functions end */
    p->in.size--;
    while (p->in.size > at && (one = http_answer(p->in.data + at, p->in.size - at, &status))) {
        if (status < 200 || status > 299) {
            p->refused++;
            snprintf(p->error, sizeof p->error, "%.*s", (int)(one < 400 ? one : 400), (char *)p->in.data + at);
        }
        at += one;
        p->outstanding--;
    }
    p->in.size -= at;
    memmove(p->in.data, p->in.data + at, p->in.size);
}

static void publisher_event(Publisher *p, uint32_t events) {
    static uint8_t chunk[65536];
    if (p->fd < 0) return;
    if (events & EPOLLOUT) publisher_write(p);
    if (p->fd < 0 || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
    ssize_t got = recv(p->fd, chunk, sizeof chunk, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        publisher_lost(p, got ? strerror(errno) : "closed by the server");
        return;
    }
    add(&p->in, chunk, (size_t)got);
    publisher_answers(p);
}

/* What it sends first: the upgrade, or the head of each POST. */
static void publisher_head(Publisher *p) {
    const char *token = text_of("token", NULL), *path = text_of("path", "/");
    Group like = {.port = p->port};
    int size;
    snprintf(like.path, sizeof like.path, "%s", path);
    snprintf(like.protocol, sizeof like.protocol, "%s", text_of("protocol", ""));
    headers_of(like.headers, sizeof like.headers);
    if (!p->posts) {
        request(p->head, sizeof p->head, &like, token);
        return;
    }
    size = snprintf(p->head, sizeof p->head,
                    "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n%s", path, p->port,
                    like.headers);
    if (token && size < (int)sizeof p->head)
        snprintf(p->head + size, sizeof p->head - (size_t)size, "Authorization: Bearer %s\r\n", token);
}

static int publisher_upgrade(Publisher *p) {
    char text[8192];
    if (!send_all(p->fd, p->head, strlen(p->head))) return 0;
    ssize_t got = recv(p->fd, text, sizeof text - 1, 0);
    text[got > 0 ? got : 0] = 0;
    if (!strncmp(text, "HTTP/1.1 101", 12)) return 1;
    snprintf(p->error, sizeof p->error, "no upgrade: %.300s", text);
    return 0;
}

/* Connects, also again where the server has closed an idle connection; returns whether there is one. */
static int publisher_connect(Publisher *p) {
    struct sockaddr_in to;
    struct timeval patience = {10, 0};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = p};
    int one = 1, size = address(&to, p->port);
    if (p->fd >= 0) return 1;
    *p->error = 0;
    p->out.size = p->in.size = p->outstanding = 0;
    p->writable = 0;
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(p->fd, (struct sockaddr *)&to, (socklen_t)size) < 0 || (!p->posts && !publisher_upgrade(p))) {
        publisher_lost(p, strerror(errno));
        return 0;
    }
    fcntl(p->fd, F_SETFL, O_NONBLOCK);
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, p->fd, &event);
    return 1;
}

static void publisher_template(Publisher *p, const char *path) {
    Lines file = read_lines(path);
    const char *text = file.count ? file.lines[0] : "";
    free_lines(&p->template);
    for (;;) {
        const char *number = strstr(text, "@N@"), *time = strstr(text, "@T@");
        const char *mark = number && (!time || number < time) ? number : time;
        p->template.lines = need(realloc(p->template.lines, (p->template.count + 1) * sizeof(char *)));
        p->template.lines[p->template.count] = need(mark ? strndup(text, (size_t)(mark - text)) : strdup(text));
        p->marks[p->template.count++] = mark ? mark[1] : 0;
        if (!mark || p->template.count >= sizeof p->marks - 1) break;
        text = mark + 3;
    }
    free_lines(&file);
}

/* Commands. */

static void command_open(void) {
    const char *name = text_of("group", "");
    Group *g = group_of(name);
    if (g) group_free(g);
    for (int i = 0; i < GROUPS_MAX && !g; i++)
        if (!*groups[i].name) g = &groups[i];
    if (!g || !*name) {
        answer_error("too many groups, or no name");
        return;
    }
    snprintf(g->name, sizeof g->name, "%s", name);
    snprintf(g->path, sizeof g->path, "%s", text_of("path", "/"));
    snprintf(g->protocol, sizeof g->protocol, "%s", text_of("protocol", ""));
    headers_of(g->headers, sizeof g->headers);
    g->port = (int)number_of("port", 0);
    g->count = g->end = (uint32_t)number_of("count", 1);
    g->offers_deflate = (int)number_of("deflate", 0);
    g->wants_replies = (int)number_of("replies", 0);
    g->witness = (int)number_of("witness", 16);
    g->rising = !strcmp(text_of("sequence", "every"), "rising");
    g->receive_bytes = (int)number_of("receive_bytes", 0);
    g->window = (int)number_of("window", 64);
    g->tokens = read_lines(text_of("tokens", NULL));
    g->subscribe = read_lines(text_of("subscribe", NULL));
    g->connections = need(calloc(g->count, sizeof *g->connections));
    for (uint32_t i = 0; i < g->count; i++) {
        Connection *c = &g->connections[i];
        c->watch = WATCH_CONNECTION;
        c->fd = -1;
        c->group = g;
        c->index = i;
        c->witness = i % (uint32_t)(g->witness > 0 ? g->witness : 1) == 0;
    }
    group_zero(g);
    pending.kind = OPEN;
    pending.group = g;
}

static void command_reopen(Group *g) {
    const char *path = text_of("subscribe", NULL);
    if (path) {
        free_lines(&g->subscribe);
        g->subscribe = read_lines(path);
    }
    g->lost = 0;
    *g->error = 0;
    range_of(g, &g->first, &g->end);
    g->next = g->first;
    g->zero_ns = now_ns();
    g->target = 0;
    group_target(g, (uint64_t)number_of("number", 0));
    pending.kind = OPEN;
    pending.group = g;
}

static void command_publisher(void) {
    const char *name = text_of("name", "");
    Publisher *p = publisher_of(name);
    for (int i = 0; i < PUBLISHERS_MAX && !p; i++)
        if (!*publishers[i].name) p = &publishers[i];
    if (!p) {
        answer_error("too many publishers");
        return;
    }
    if (*p->name && p->fd >= 0) close(p->fd);
    release(&p->out);
    release(&p->in);
    free_lines(&p->template);
    uint64_t next = (uint64_t)number_of("next", p->next ? (double)p->next : 1);
    memset(p, 0, sizeof *p);
    p->watch = WATCH_PUBLISHER;
    p->fd = -1;
    p->next = next;
    snprintf(p->name, sizeof p->name, "%s", name);
    p->port = (int)number_of("port", 0);
    p->posts = !strcmp(text_of("kind", "ws"), "post");
    p->array = (int)number_of("array", 0);
    p->batch = (uint64_t)number_of("batch", 1);
    p->ahead = (uint64_t)number_of("ahead", 4);
    publisher_template(p, text_of("template", NULL));
    publisher_head(p);
    if (publisher_connect(p))
        answer("{\"ok\":true}");
    else
        answer_error(p->error);
}

static void command_one(Publisher *p, Group *g) {
    if (!publisher_connect(p)) {
        answer_error(p->error);
        return;
    }
    pending.kind = ONE;
    pending.publisher = p;
    pending.group = g;
    pending.count = (uint64_t)number_of("count", 1);
    pending.number = 0;
}

static void command_rate(Publisher *p) {
    p->hz = number_of("hz", 1);
    p->total = (uint64_t)(p->hz * number_of("seconds", 1));
    if (!p->total) p->total = 1;
    p->every_ns = (int64_t)(number_of("every_ms", 5) * 1e6);
    p->sent = p->refused = 0;
    p->late_ns = 0;
    if (!publisher_connect(p)) {
        answer_error(p->error);
        return;
    }
    *p->error = 0;
    p->began_ns = p->tick_ns = now_ns();
    p->running = 1;
    answer("{\"ok\":true}");
}

static void command_wait(Group *g) {
    pending.kind = WAIT;
    pending.group = g;
    group_target(g, (uint64_t)number_of("number", 0));
}

static void command_range(Group *g, const char *verb) {
    uint32_t first, end;
    int reset = !strcmp(text_of("how", "reset"), "reset");
    range_of(g, &first, &end);
    for (uint32_t i = first; i < end; i++) {
        Connection *c = &g->connections[i];
        if (!strcmp(verb, "close")) {
            connection_close(c, reset);
        } else if (c->state == READY && c->stopped != !strcmp(verb, "stop")) {
            c->stopped = !c->stopped;
            watch(c, c->stopped ? EPOLL_CTL_DEL : EPOLL_CTL_ADD, EPOLLIN);
        }
    }
    answer("{\"ok\":true,\"count\":%u}", end - first);
}

static void command_group(const char *verb, Group *g) {
    if (!strcmp(verb, "reopen"))
        command_reopen(g);
    else if (!strcmp(verb, "wait"))
        command_wait(g);
    else if (!strcmp(verb, "report"))
        group_report(g);
    else if (!strcmp(verb, "stop") || !strcmp(verb, "go") || !strcmp(verb, "close"))
        command_range(g, verb);
    else if (!strcmp(verb, "zero")) {
        group_zero(g);
        answer("{\"ok\":true}");
    } else
        answer_error("there is no such command");
}

static void command(char *line) {
    field_count = 0;
    for (char *field = strtok(line, "\t"); field && field_count < FIELDS_MAX; field = strtok(NULL, "\t"))
        fields[field_count++] = field;
    const char *verb = field_count ? fields[0] : "";
    Group *g = group_of(text_of("group", ""));
    Publisher *p = publisher_of(text_of("publisher", ""));
    int64_t now = now_ns();
    int publishes = !strcmp(verb, "one") || !strcmp(verb, "rate") || !strcmp(verb, "finish");
    memset(&pending, 0, sizeof pending);
    if (!strcmp(verb, "cpu"))
        answer("{\"ok\":true,\"cpu_s\":%.6f}", cpu_s());
    else if (!strcmp(verb, "open"))
        command_open();
    else if (!strcmp(verb, "publisher"))
        command_publisher();
    else if (publishes && !p)
        answer_error("there is no such publisher");
    else if (!strcmp(verb, "rate"))
        command_rate(p);
    else if (!g)
        answer_error("there is no such command or group");
    else if (!strcmp(verb, "one"))
        command_one(p, g);
    else if (!strcmp(verb, "finish")) {
        pending.kind = FINISH;
        pending.publisher = p;
        pending.group = g;
    } else
        command_group(verb, g);
    pending.began_ns = now;
    pending.deadline_ns = now + (int64_t)(number_of("timeout_s", pending.kind == FINISH ? 5 : 120) * NS);
}

/* What a command waits for. Each returns whether it has been answered. */

static int open_turn(int64_t now) {
    Group *g = pending.group;
    group_open_some(g);
    if (g->lost || (now > pending.deadline_ns && g->opening)) {
        answer_error(*g->error ? g->error : "the connections were not open in time");
        return 1;
    }
    if (g->next < g->end || g->opening) return 0;
    answer("{\"ok\":true,\"count\":%u,\"seconds\":%.6f}", g->ready, (double)(now - pending.began_ns) / NS);
    return 1;
}

static int one_turn(int64_t now) {
    Group *g = pending.group;
    Publisher *p = pending.publisher;
    if (*p->error || g->lost || now > pending.deadline_ns) {
        answer_error(*p->error ? p->error : g->lost ? g->error : "a message did not reach everybody in time");
        return 1;
    }
    if (pending.number && !group_complete(g)) return 0;
    if (!pending.count) {
        answer("{\"ok\":true,\"number\":%llu,\"seconds\":%.6f}", (unsigned long long)pending.number,
               (double)(now - pending.began_ns) / NS);
        return 1;
    }
    pending.count--;
    pending.number = p->next;
    group_target(g, p->next);
    publisher_send(p, 1, now_ns());
    publisher_write(p);
    return 0;
}

static int finish_turn(int64_t now) {
    Group *g = pending.group;
    Publisher *p = pending.publisher;
    if (p->running && now < pending.deadline_ns + (int64_t)((double)p->total / p->hz * NS)) return 0;
    if (!pending.sending_ended) {
        pending.sending_ended = 1;
        pending.number = p->next - 1;
        group_target(g, pending.number);
        pending.deadline_ns = now + (pending.deadline_ns - pending.began_ns);
        p->running = 0;
    }
    int complete = group_complete(g) && !p->outstanding && p->sent == p->total;
    if (!complete && !*p->error && now < pending.deadline_ns) return 0;
    printf("{\"ok\":true,\"error\":");
    put_text(*p->error ? p->error : g->lost ? g->error : "");
    answer(",\"sent\":%llu,\"refused\":%llu,\"complete\":%s,\"late_ms\":%.3f,\"seconds\":%.6f,\"number\":%llu}",
           (unsigned long long)p->sent, (unsigned long long)p->refused, complete ? "true" : "false",
           (double)p->late_ns / 1e6, (double)(now - p->began_ns) / NS, (unsigned long long)pending.number);
    return 1;
}

static int wait_turn(int64_t now) {
    Group *g = pending.group;
    static Histogram times;
    int complete = group_complete(g);
    if (!complete && now < pending.deadline_ns) return 0;
    memset(&times, 0, sizeof times);
    for (uint32_t i = 0; i < g->count; i++)
        if (g->connections[i].reached_ns) histogram_add(&times, g->connections[i].reached_ns - g->zero_ns);
    answer("{\"ok\":true,\"complete\":%s,\"reached\":%u,\"open\":%u,\"seconds\":%.6f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,"
           "\"max_ms\":%.3f}",
           complete ? "true" : "false", g->reached, g->ready, (double)(now - pending.began_ns) / NS,
           percentile(&times, 0.5), percentile(&times, 0.99), (double)times.max / 1e6);
    return 1;
}

static void pending_turn(void) {
    int64_t now = now_ns();
    /* Looking at every compressed connection takes long enough not to do it at each turn. */
    if (pending.kind != OPEN && pending.group->offers_deflate && now - pending.checked_ns < NS / 1000) return;
    pending.checked_ns = now;
    int done = pending.kind == OPEN     ? open_turn(now)
               : pending.kind == ONE    ? one_turn(now)
               : pending.kind == FINISH ? finish_turn(now)
                                        : wait_turn(now);
    if (done) pending.kind = NOTHING;
}

/* The loop. */

static void publish_due(void) {
    for (int i = 0; i < PUBLISHERS_MAX; i++)
        if (publishers[i].running) publisher_turn(&publishers[i], now_ns());
}

static int timeout_ms(void) {
    /* One message at a time: ask without sleeping. A sender that has to wake its reader pays for the wake-up, once for
       each message if it is the slower of the two, and a server's cost would depend on how busy the generator is. */
    if (pending.kind == ONE) return 0;
    int wait = pending.kind == NOTHING ? 1000 : pending.group->offers_deflate && pending.kind != OPEN ? 1 : 20;
    for (int i = 0; i < PUBLISHERS_MAX; i++) {
        if (!publishers[i].running) continue;
        int64_t left = publishers[i].tick_ns - now_ns();
        int tick = left <= 0 ? 1 : (int)(left / 1000000) + 1;
        if (tick < wait) wait = tick;
    }
    return wait;
}

/* Reads commands; returns 0 at the end of the input. */
static int input(Bytes *lines) {
    char chunk[65536];
    ssize_t got = read(STDIN_FILENO, chunk, sizeof chunk);
    if (got <= 0) return 0;
    add(lines, chunk, (size_t)got);
    return 1;
}

static void next_command(Bytes *lines) {
    static char line[LINE_BYTES];
    while (pending.kind == NOTHING && lines->size) {
        uint8_t *end = memchr(lines->data, '\n', lines->size);
        if (!end) return;
        size_t size = (size_t)(end - lines->data);
        if (size >= sizeof line) exit(1);
        memcpy(line, lines->data, size);
        line[size] = 0;
        lines->size -= size + 1;
        memmove(lines->data, end + 1, lines->size);
        command(line);
        if (pending.kind != NOTHING) pending_turn();
    }
}

static void run(void) {
    static int input_watch = WATCH_INPUT;
    struct epoll_event events[EVENTS], event = {.events = EPOLLIN, .data.ptr = &input_watch};
    Bytes lines = {0};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event);
    for (;;) {
        int count = epoll_wait(poll_fd, events, EVENTS, timeout_ms());
        for (int i = 0; i < count; i++) {
            int *what = events[i].data.ptr;
            if (*what == WATCH_CONNECTION)
                connection_event(events[i].data.ptr, events[i].events);
            else if (*what == WATCH_PUBLISHER)
                publisher_event(events[i].data.ptr, events[i].events);
            else if (!input(&lines))
                return;
            if (i % 32 == 31) publish_due();
        }
        publish_due();
        if (pending.kind != NOTHING) pending_turn();
        next_command(&lines);
    }
}

int main(void) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    alarm(RUN_S_MAX);
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    buffer = need(malloc(BUFFER_BYTES));
    inflated = need(malloc(BUFFER_BYTES));
#ifdef WITHOUT_ZLIB
    answer("{\"ok\":true,\"zlib\":false}");
#else
    answer("{\"ok\":true,\"zlib\":true}");
#endif
    run();
    return 0;
}
