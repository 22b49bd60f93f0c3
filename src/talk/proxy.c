/* Asking a proxy to connect for us: what can be asked for, and the kinds of proxies. */
#include "talk/proxy.h"

#include "talk/host_port.h"
#include "talk/proxy_kinds.h"

enum {
    SOCKS5_TEXT_LIMIT = 255, /* RFC 1929 §2: lengths of one byte */
};

const char *proxy_kind_name(enum proxy_kind kind)
{
    switch (kind) {
    case PROXY_HTTP:
        return "http";
    case PROXY_SOCKS4:
        return "socks4";
    case PROXY_SOCKS5:
        return "socks5";
    case PROXY_NONE:
        break;
    }
    return "none";
}

static struct reader host_reader(const struct proxy_request *request, struct error *error)
{
    const size_t length = strlen(request->host);
    return (struct reader){.text = request->host, .length = length, .end = length, .error = error};
}

struct address proxy_host(const struct proxy_request *request)
{
    struct reader reader = host_reader(request, NULL);
    struct address address = {.family = ADDRESS_NONE};
    host_read(&reader, &address);
    return address;
}

static int check_host(const struct proxy_request *request, struct error *error)
{
    struct reader reader = host_reader(request, error);
    struct address address;
    int code = host_read(&reader, &address);
    if (code != 0)
        return code;
    const char *zone = strchr(request->host, '%');
    if (zone)
        return READER_FAULT(&reader, (size_t)(zone - request->host),
                            "a zone means something on this machine only, not to a proxy");
    if (request->kind == PROXY_SOCKS4 && address.family == ADDRESS_IPV6)
        return READER_FAULT(&reader, 0, "SOCKS4 has no IPv6 addresses: SOCKS5 has");
    return 0;
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

static int check_socks5_user(const char *user, const char *password, struct error *error)
{
    const size_t lengths[] = {strlen(user), strlen(password)};
    if (lengths[0] == 0)
        return error_set(error, EINVAL, "a user of a SOCKS5 proxy has a name");
    for (size_t i = 0; i < 2; i++)
        if (lengths[i] > SOCKS5_TEXT_LIMIT)
            return error_set(error, EINVAL, "a %s for a SOCKS5 proxy has at most %d bytes",
                             i == 0 ? "user's name" : "password", SOCKS5_TEXT_LIMIT);
    return 0;
}

static int check_user(const struct proxy_request *request, struct error *error)
{
    const char *user = request->user;
    const char *password = request->password ? request->password : "";
    if (!user && *password)
        return error_set(error, EINVAL, "a password for a proxy needs a user's name before it");
    if (!user)
        return 0;
    switch (request->kind) {
    case PROXY_HTTP: /* RFC 7617 §2 */
        if (strchr(user, ':'))
            return error_set(error, EINVAL, "a user of an HTTP proxy has no ':' in the name");
        if (has_control(user) || has_control(password))
            return error_set(error, EINVAL,
                             "a user's name and a password for an HTTP proxy have no control "
                             "characters");
        return 0;
    case PROXY_SOCKS4:
        if (*password)
            return error_set(error, EINVAL, "SOCKS4 has no passwords: SOCKS5 has");
        return 0;
    case PROXY_SOCKS5:
        return check_socks5_user(user, password, error);
    case PROXY_NONE:
        break;
    }
    return 0;
}

int proxy_check(const struct proxy_request *request, struct error *error)
{
    if (request->kind == PROXY_NONE)
        return error_set(error, EINVAL, "a proxy is of a kind: http, socks4 or socks5");
    if (request->port == 0)
        return error_set(error, EINVAL, "nobody can be reached at port 0");
    int code = check_host(request, error);
    return code != 0 ? code : check_user(request, error);
}

int proxy_step(struct proxy_negotiation *negotiation, const void *bytes, size_t length,
               size_t *ret_taken, struct buffer *send, struct error *error)
{
    static proxy_step_fn *const steps[] = {
        [PROXY_HTTP] = proxy_http_step,
        [PROXY_SOCKS4] = proxy_socks4_step,
        [PROXY_SOCKS5] = proxy_socks5_step,
    };
    struct bytes left = bytes_of(bytes, length);
    int progress = negotiation->step == 0 ? proxy_check(&negotiation->request, error) : 0;
    if (progress == 0)
        progress = steps[negotiation->request.kind](negotiation, &left, send, error);
    if (progress >= 0 && send->failed)
        progress = error_set(error, ENOMEM, "out of memory");
    if (progress >= 0)
        *ret_taken = length - bytes_left(&left);
    return progress;
}
