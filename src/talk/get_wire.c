/* What libcurl calls while it works: lines that go over the wire, headers, bodies, uploads. */
#include "talk/get_inner.h"
#include "talk/tls_session.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

unsigned get_status(struct get *get)
{
    long status = 0;
    libcurl.easy_getinfo(get->easy, CURLINFO_RESPONSE_CODE, &status);
    return status > 0 ? (unsigned)status : 0;
}

static void tell_lines(const struct get *get, enum get_line kind, const char *text, size_t length)
{
    while (length > 0) {
        const char *end = memchr(text, '\n', length);
        size_t taken = end ? (size_t)(end - text) + 1 : length;
        size_t shown = end ? taken - 1 : taken;
        if (shown > 0 && text[shown - 1] == '\r')
            shown--;
        get->events.line(get->events.user, kind, text, shown);
        text += taken;
        length -= taken;
    }
}

static int on_debug(CURL *easy, curl_infotype type, char *text, size_t length, void *user)
{
    (void)easy;
    const struct get *get = user;
    if (type == CURLINFO_TEXT)
        tell_lines(get, GET_LINE_NOTE, text, length);
    else if (type == CURLINFO_HEADER_OUT)
        tell_lines(get, GET_LINE_SENT, text, length);
    else if (type == CURLINFO_HEADER_IN)
        tell_lines(get, GET_LINE_HEARD, text, length);
    return 0;
}

/* A callback has failed: what it says goes before what libcurl will make of it. */
static bool has_failed(struct get *get, int r)
{
    if (r < 0 && !get->failed)
        get->failed = r;
    return r < 0;
}

/* libcurl's session is gone once the transfer is over. */
static void describe_tls(struct get *get)
{
    const struct curl_tlssessioninfo *info = NULL;
    if (libcurl.easy_getinfo(get->easy, CURLINFO_TLS_SSL_PTR, &info) || !info || !info->internals ||
        info->backend != CURLSSLBACKEND_OPENSSL)
        return;
    tls_describe_session(info->internals, &get->tls);
    get->has_tls = true;
}

static size_t on_header(char *line, size_t size, size_t count, void *user)
{
    struct get *get = user;
    size_t length = size * count;
    if (!get->has_tls)
        describe_tls(get);
    if (get->events.header &&
        has_failed(get, get->events.header(get->events.user, line, length, &get->error)))
        return 0;
    return length;
}

/* The body of a redirect is not what was asked for; that of a failure is not wanted. */
static bool is_swallowed(struct get *get)
{
    unsigned status = get_status(get);
    struct curl_header *location;
    if (status >= 300 && status < 400 && get->options.follow)
        return libcurl.easy_header(get->easy, "Location", 0, CURLH_HEADER, -1, &location) ==
               CURLHE_OK;
    return status >= 400 && get->options.fail && !get->options.fail_with_body;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *user)
{
    struct get *get = user;
    size_t length = size * count;
    if (!get->body_begun)
        get->swallows = is_swallowed(get);
    get->body_begun = true;
    get->body_bytes += length;
    if (!get->swallows && get->events.body &&
        has_failed(get, get->events.body(get->events.user, bytes, length, &get->error)))
        return 0;
    return length;
}

static int on_progress(void *user, curl_off_t receive_total, curl_off_t received,
                       curl_off_t send_total, curl_off_t sent)
{
    const struct get *get = user;
    get->events.progress(get->events.user, (uint64_t)received, (uint64_t)receive_total,
                         (uint64_t)sent, (uint64_t)send_total);
    return 0;
}

static size_t on_upload(char *bytes, size_t size, size_t count, void *user)
{
    struct get *get = user;
    struct pollfd input = {.fd = get->upload, .events = POLLIN};
    if (poll(&input, 1, 0) == 0) {
        get->upload_waits = true; /* the answer may come meanwhile */
        return CURL_READFUNC_PAUSE;
    }
    ssize_t length;
    do
        length = read(get->upload, bytes, size * count);
    while (length < 0 && errno == EINTR);
    if (length >= 0)
        return (size_t)length;
    int code = errno;
    has_failed(get, error_set(&get->error, code, "cannot read '%s': %s", get->options.upload,
                              strerror(code)));
    return CURL_READFUNC_ABORT;
}

static int on_seek(void *user, curl_off_t offset, int origin)
{
    const struct get *get = user;
    return lseek(get->upload, offset, origin) < 0 ? CURL_SEEKFUNC_CANTSEEK : CURL_SEEKFUNC_OK;
}

void get_set_callbacks(struct get *get)
{
    CURL *easy = get->easy;
    if (get->events.line) {
        libcurl.easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_debug);
        libcurl.easy_setopt(easy, CURLOPT_DEBUGDATA, get);
        libcurl.easy_setopt(easy, CURLOPT_VERBOSE, 1L);
    }
    libcurl.easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    libcurl.easy_setopt(easy, CURLOPT_HEADERDATA, get);
    libcurl.easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    libcurl.easy_setopt(easy, CURLOPT_WRITEDATA, get);
    libcurl.easy_setopt(easy, CURLOPT_READFUNCTION, on_upload);
    libcurl.easy_setopt(easy, CURLOPT_READDATA, get);
    libcurl.easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
    libcurl.easy_setopt(easy, CURLOPT_SEEKDATA, get);
    if (get->events.progress) {
        libcurl.easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
        libcurl.easy_setopt(easy, CURLOPT_XFERINFODATA, get);
        libcurl.easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    }
}
