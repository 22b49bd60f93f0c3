/* proxy_parse(): the words that name proxies. */
#include "talk/proxy.h"

#include "base/text.h"
#include "talk/host_port.h"

#include <stdlib.h>
#include <strings.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

enum {
    HTTP_PORT = 3128,
    SOCKS_PORT = 1080, /* RFC 1928 §3 */
};

static const struct {
    const char *name;
    enum proxy_kind kind;
} schemes[] = {
    {"http", PROXY_HTTP},     {"socks4", PROXY_SOCKS4},  {"socks4a", PROXY_SOCKS4},
    {"socks5", PROXY_SOCKS5}, {"socks5h", PROXY_SOCKS5},
};

static int complain_of_scheme(const struct reader *scheme)
{
    char word[16] = "";
    struct text_nearest nearest = {.word = word};
    if (scheme->end - scheme->at < sizeof(word))
        memcpy(word, scheme->text + scheme->at, scheme->end - scheme->at);
    if (strcasecmp(word, "https") == 0)
        return READER_FAULT(scheme, scheme->at,
                            "a proxy that is itself spoken to over TLS is not supported: http, "
                            "socks4 and socks5 are");
    for (size_t i = 0; i < COUNT(schemes); i++)
        text_nearest_offer(&nearest, schemes[i].name, strlen(schemes[i].name));
    if (nearest.candidate[0])
        return READER_FAULT(scheme, scheme->at, "no proxy is of this kind; did you mean '%s'?",
                            nearest.candidate);
    return READER_FAULT(scheme, scheme->at, "a proxy is of a kind: http, socks4 or socks5");
}

/* Takes "socks5://" off the front. */
static int read_scheme(struct reader *reader, enum proxy_kind *kind)
{
    const char *end = memmem(reader->text, reader->length, "://", 3);
    if (!end)
        return 0;
    const struct reader scheme = reader_part(reader, 0, (size_t)(end - reader->text));
    for (size_t i = 0; i < COUNT(schemes); i++)
        if (strlen(schemes[i].name) == scheme.end &&
            strncasecmp(schemes[i].name, reader->text, scheme.end) == 0) {
            *kind = schemes[i].kind;
            reader->at = scheme.end + 3;
            return 0;
        }
    return complain_of_scheme(&scheme);
}

/* Leaves out a "/" at the end: that is how people copy URLs. */
static int check_path(struct reader *reader)
{
    size_t end = reader->end;
    for (size_t at = reader->at; at < end; at++)
        if (memchr("/?#", reader->text[at], 3))
            end = at;
    if (end < reader->end && (reader->text[end] != '/' || end + 1 < reader->end))
        return READER_FAULT(reader, end, "a proxy ends with its port: it has no path");
    reader->end = end;
    return 0;
}

static int hexadecimal_digit(char character)
{
    if (reader_is_digit(character))
        return character - '0';
    const char lower = (char)(character | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Appends everything up to the end, decoded, and its NUL. Returns 0 or -EINVAL. */
static int add_decoded(struct reader *reader, char **free_text, const char **ret_text)
{
    char *out = *free_text;
    while (reader->at < reader->end) {
        char byte = reader->text[reader->at];
        if (byte == '%') {
            const bool whole = reader->end - reader->at >= 3;
            const int high = whole ? hexadecimal_digit(reader->text[reader->at + 1]) : -1;
            const int low = whole ? hexadecimal_digit(reader->text[reader->at + 2]) : -1;
            if (high < 0 || low < 0)
                return READER_FAULT(reader, reader->at,
                                    "two hexadecimal digits follow '%%', which itself is %%25");
            if (high == 0 && low == 0)
                return READER_FAULT(reader, reader->at,
                                    "no user and no password has a NUL byte in it");
            byte = (char)(high << 4 | low);
            reader->at += 2;
        }
        *out++ = byte;
        reader->at++;
    }
    *out++ = '\0';
    *ret_text = *free_text;
    *free_text = out;
    return 0;
}

/* Takes "user:password@" off the front. The last '@' ends it, for passwords may have some. */
static int read_user(struct reader *reader, char **free_text, struct proxy_address *proxy)
{
    size_t end = reader->end;
    while (end > reader->at && reader->text[end - 1] != '@')
        end--;
    if (end == reader->at)
        return 0;
    struct reader user = reader_part(reader, reader->at, end - 1);
    struct reader password = user;
    user.end = reader_find(&user, ':');
    password.at = user.end + (user.end < password.end);
    const bool colon = user.end < password.end;
    int code = add_decoded(&user, free_text, &proxy->user);
    if (code == 0 && colon)
        code = add_decoded(&password, free_text, &proxy->password);
    reader->at = end;
    return code;
}

static int read_place(const struct reader *reader, char **free_text, struct proxy_address *proxy)
{
    struct host_port parts;
    struct address address;
    int code = host_port_split(reader, &parts);
    if (code != 0)
        return code;
    const size_t start = parts.host.at, length = parts.host.end - start;
    code = host_read(&parts.host, &address);
    if (code == 0 && parts.colon)
        code = port_read(&parts.port, PROTOCOL_TCP, false, &proxy->port);
    if (code != 0)
        return code;
    if (!parts.colon)
        proxy->port = proxy->kind == PROXY_HTTP ? HTTP_PORT : SOCKS_PORT;
    memcpy(*free_text, reader->text + start, length);
    (*free_text)[length] = '\0';
    proxy->host = *free_text;
    *free_text += length + 1;
    return 0;
}

int proxy_parse(const char *word, enum proxy_kind kind, struct proxy_address *ret_proxy,
                struct error *error)
{
    const size_t length = strlen(word);
    struct reader reader = {.text = word, .length = length, .end = length, .error = error};
    struct proxy_address proxy = {.kind = kind == PROXY_NONE ? PROXY_HTTP : kind};
    if (length == 0)
        return READER_FAULT(&reader, 0, "a proxy is missing, such as socks5://localhost:1080");
    int code = read_scheme(&reader, &proxy.kind);
    if (code == 0)
        code = check_path(&reader);
    if (code != 0)
        return code;
    proxy.text = malloc(length + 3); /* the three texts are parts of the word, each with its NUL */
    if (!proxy.text)
        return error_set(error, ENOMEM, "out of memory");
    char *free_text = proxy.text;
    code = read_user(&reader, &free_text, &proxy);
    if (code == 0)
        code = read_place(&reader, &free_text, &proxy);
    if (code != 0)
        free(proxy.text);
    else
        *ret_proxy = proxy;
    return code;
}
