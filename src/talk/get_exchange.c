/* What became of an exchange, asked of libcurl and handed over. */
#include "talk/get_inner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Headers with the room for them. */
struct headers {
    struct get_header *list;
    size_t count;
    struct buffer text;
};

/* Texts move while the buffer grows: until the end they are offsets into it. */
static void add_text(struct headers *headers, const char **place, const char *text)
{
    *place = (const char *)(uintptr_t)headers->text.length;
    buffer_add(&headers->text, text, strlen(text) + 1);
}

/* Of the last answer. Returns 0 or -ENOMEM. */
static int copy_headers(CURL *easy, struct headers *headers)
{
    struct curl_header *header = NULL;
    while ((header = libcurl.easy_nextheader(easy, CURLH_HEADER, -1, header))) {
        if ((headers->count & (headers->count - 1)) == 0) {
            size_t room = headers->count ? 2 * headers->count : 1;
            struct get_header *list = realloc(headers->list, room * sizeof(list[0]));
            if (!list)
                return -ENOMEM;
            headers->list = list;
        }
        struct get_header *copy = &headers->list[headers->count++];
        add_text(headers, &copy->name, header->name);
        add_text(headers, &copy->value, header->value);
    }
    for (size_t i = 0; i < headers->count && !headers->text.failed; i++) {
        struct get_header *copy = &headers->list[i];
        copy->name = headers->text.data + (uintptr_t)copy->name;
        copy->value = headers->text.data + (uintptr_t)copy->value;
    }
    return headers->text.failed ? -ENOMEM : 0;
}

static uint64_t ask_number(CURL *easy, CURLINFO info)
{
    curl_off_t number = 0;
    libcurl.easy_getinfo(easy, info, &number);
    return number > 0 ? (uint64_t)number : 0;
}

static long ask_long(CURL *easy, CURLINFO info)
{
    long number = 0;
    libcurl.easy_getinfo(easy, info, &number);
    return number;
}

static const char *ask_text(CURL *easy, CURLINFO info)
{
    const char *text = NULL;
    libcurl.easy_getinfo(easy, info, &text);
    return text;
}

static void add_times(struct get_times *sums, const struct get_times *times)
{
    sums->lookup += times->lookup;
    sums->connect += times->connect;
    sums->tls += times->tls;
    sums->request += times->request;
    sums->first_byte += times->first_byte;
    sums->total += times->total;
}

static void fill_times(struct get *get, struct get_exchange *exchange)
{
    CURL *easy = get->easy;
    exchange->times = (struct get_times){
        .lookup = ask_number(easy, CURLINFO_NAMELOOKUP_TIME_T),
        .connect = ask_number(easy, CURLINFO_CONNECT_TIME_T),
        .tls = ask_number(easy, CURLINFO_APPCONNECT_TIME_T),
        .request = ask_number(easy, CURLINFO_PRETRANSFER_TIME_T),
        .first_byte = ask_number(easy, CURLINFO_STARTTRANSFER_TIME_T),
        .total = ask_number(easy, CURLINFO_TOTAL_TIME_T),
    };
}

static void fill_sums(struct get *get, struct get_exchange *exchange)
{
    struct get_sums *sums = &get->sums;
    sums->connections += (unsigned)ask_long(get->easy, CURLINFO_NUM_CONNECTS);
    sums->header_bytes += (uint64_t)ask_long(get->easy, CURLINFO_HEADER_SIZE);
    sums->request_bytes += (uint64_t)ask_long(get->easy, CURLINFO_REQUEST_SIZE);
    add_times(&sums->times, &exchange->times);
    exchange->sums = *sums;
    sums->redirect_time += exchange->times.total;
}

static void fill_connection(struct get *get, struct get_exchange *exchange)
{
    CURL *easy = get->easy;
    const char *remote = ask_text(easy, CURLINFO_PRIMARY_IP);
    const char *local = ask_text(easy, CURLINFO_LOCAL_IP);
    snprintf(exchange->remote_address, sizeof(exchange->remote_address), "%s",
             remote ? remote : "");
    snprintf(exchange->local_address, sizeof(exchange->local_address), "%s", local ? local : "");
    exchange->remote_port = (uint16_t)ask_long(easy, CURLINFO_PRIMARY_PORT);
    exchange->local_port = (uint16_t)ask_long(easy, CURLINFO_LOCAL_PORT);
    exchange->unix_socket = get->options.unix_socket;
    exchange->reused = exchange->status && ask_long(easy, CURLINFO_NUM_CONNECTS) == 0;
    exchange->tls = get->has_tls ? &get->tls : NULL;
    exchange->verify_result = ask_long(easy, CURLINFO_SSL_VERIFYRESULT);
}

static const char *version_text(long version)
{
    return version == CURL_HTTP_VERSION_1_0   ? "1.0"
           : version == CURL_HTTP_VERSION_1_1 ? "1.1"
           : version == CURL_HTTP_VERSION_2_0 ? "2"
           : version == CURL_HTTP_VERSION_3   ? "3"
                                              : "";
}

static void fill_answer(struct get *get, struct get_exchange *exchange)
{
    CURL *easy = get->easy;
    exchange->method = ask_text(easy, CURLINFO_EFFECTIVE_METHOD);
    exchange->status = get_status(get);
    exchange->proxy_status = (unsigned)ask_long(easy, CURLINFO_HTTP_CONNECTCODE);
    exchange->version = version_text(ask_long(easy, CURLINFO_HTTP_VERSION));
    exchange->content_type = ask_text(easy, CURLINFO_CONTENT_TYPE);
    exchange->body_bytes = get->body_bytes;
    exchange->upload_bytes = ask_number(easy, CURLINFO_SIZE_UPLOAD_T);
}

int get_tell_exchange(struct get *get, CURLcode code, int failed, uint64_t began,
                      const char *redirect, bool followed)
{
    struct get_exchange exchange = {.began = began,
                                    .redirect = redirect,
                                    .followed = followed,
                                    .code = (int)code,
                                    .failed = failed};
    struct headers headers = {0};
    char *url = NULL;
    fill_answer(get, &exchange);
    fill_connection(get, &exchange);
    fill_times(get, &exchange);
    fill_sums(get, &exchange);
    int r = get->events.exchange ? copy_headers(get->easy, &headers) : 0;
    if (r == 0 && libcurl.url_get(get->url, CURLUPART_URL, &url, 0))
        r = -ENOMEM;
    if (r == 0 && get->events.exchange) {
        exchange.url = url;
        exchange.headers = headers.list;
        exchange.header_count = headers.count;
        exchange.message = get->message;
        get->events.exchange(get->events.user, &exchange);
    }
    libcurl.free(url);
    buffer_release(&headers.text);
    free(headers.list);
    return r;
}
