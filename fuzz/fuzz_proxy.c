/* Fuzzing of proxy_step(): whatever a proxy answers, it does not matter in which pieces it comes,
 * and more than a head is never kept; and of proxy_parse(), whose words are the input where the
 * first byte says so. Otherwise that byte chooses the request. */
#include "talk/proxy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORD 0x80
#define KIND 0x03 /* 0: as PROXY_NONE, a word without a kind */
#define USER 0x04
#define HOST_SHIFT 3
#define HEAD_LIMIT 16384

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void require_explained(const struct error *error, int code)
{
    require(code < 0 && error->code == -code && error->message[0] != '\0');
    require(error->column == ERROR_NO_COLUMN || error->column <= strlen(error->text));
    for (const unsigned char *at = (const unsigned char *)error->message; *at; at++)
        require(*at >= ' ' && *at != 0x7f);
}

struct outcome {
    int progress;
    size_t taken;
    struct buffer sent;
};

static struct outcome negotiate(const struct proxy_request *request, const uint8_t *bytes,
                                size_t length, size_t piece)
{
    struct outcome outcome = {0};
    struct proxy_negotiation negotiation = {.request = *request};
    struct error error = {0};
    for (size_t come = 0;; come = length - come < piece ? length : come + piece) {
        size_t taken = 0;
        const size_t left = come - outcome.taken;
        uint8_t *copy = malloc(left ? left : 1); /* ends where the bytes end */
        require(copy);
        memcpy(copy, bytes + outcome.taken, left);
        outcome.progress = proxy_step(&negotiation, copy, left, &taken, &outcome.sent, &error);
        free(copy);
        if (outcome.progress < 0) {
            require_explained(&error, outcome.progress);
            return outcome;
        }
        require(taken <= left && !outcome.sent.failed);
        outcome.taken += taken;
        if (outcome.progress == PROXY_OPEN)
            return outcome;
        require(left - taken <= HEAD_LIMIT);
        if (come == length)
            return outcome;
    }
}

static void fuzz_answer(unsigned how, const uint8_t *bytes, size_t length)
{
    static const char *const hosts[] = {"db.example", "192.0.2.1", "2001:db8::1", "0.0.0.7"};
    const struct proxy_request request = {
        .kind = how & KIND,
        .host = hosts[how >> HOST_SHIFT & 3],
        .port = 443,
        .user = how & USER ? "me" : NULL,
    };
    if (proxy_check(&request, NULL) != 0)
        return;
    struct outcome one = negotiate(&request, bytes, length, length ? length : 1);
    for (size_t piece = 1; piece <= 7; piece += 6) { /* of long answers larger ones, for speed */
        struct outcome other = negotiate(&request, bytes, length, piece + length / 1024);
        require(other.progress == one.progress);
        if (one.progress >= 0)
            require(other.taken == one.taken && other.sent.length == one.sent.length &&
                    memcmp(other.sent.data, one.sent.data, one.sent.length) == 0);
        buffer_release(&other.sent);
    }
    buffer_release(&one.sent);
}

static void fuzz_word(unsigned how, const uint8_t *bytes, size_t length)
{
    struct proxy_address proxy;
    struct error error = {0};
    char *word = malloc(length + 1);
    require(word);
    memcpy(word, bytes, length);
    word[length] = '\0';
    const int code = proxy_parse(word, how & KIND, &proxy, &error);
    if (code == 0) {
        const struct proxy_request request = {
            .kind = PROXY_HTTP, .host = proxy.host, .port = proxy.port};
        require(proxy.kind != PROXY_NONE && proxy.port != 0);
        require(proxy.user || !proxy.password);
        require(strchr(proxy.host, '%') || proxy_check(&request, NULL) == 0);
        free(proxy.text);
    } else {
        require(code == -EINVAL && error.column != ERROR_NO_COLUMN);
        require_explained(&error, code);
    }
    free(word);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    if (length < 1)
        return 0;
    if (*bytes & WORD)
        fuzz_word(*bytes, bytes + 1, length - 1);
    else
        fuzz_answer(*bytes, bytes + 1, length - 1);
    return 0;
}
