/* SOCKS4, 4a and 5 (RFC 1928, with the user and password of RFC 1929), from the asking side. */
#include "talk/proxy_kinds.h"

#include "net/address.h"

#include <errno.h>

enum {
    COMMAND_CONNECT = 1,

    SOCKS4_VERSION = 4,
    SOCKS4_REPLY_SIZE = 8,
    SOCKS4_GRANTED = 90,
    SOCKS4_REJECTED = 91,
    SOCKS4_NO_IDENTD = 92,
    SOCKS4_OTHER_USER = 93,

    SOCKS5_VERSION = 5,
    METHOD_NONE = 0,
    METHOD_PASSWORD = 2,
    METHOD_REFUSED = 0xff,
    PASSWORD_VERSION = 1,
    SOCKS5_IPV4 = 1,
    SOCKS5_NAME = 3,
    SOCKS5_IPV6 = 4,
};

enum step {
    STEP_BEGIN, /* as proxy_negotiation is before its first step */
    STEP_METHOD,
    STEP_PASSWORD,
    STEP_REPLY,
    STEP_OPEN,
};

static void add_number(struct buffer *send, uint128_t number, unsigned bytes)
{
    while (bytes-- > 0)
        buffer_add_character(send, (char)(number >> 8 * bytes));
}

/* What stands where a version should. */
static int complain_of_version(unsigned char byte, int version, struct error *error)
{
    if (byte == 'H') /* "HTTP/1.1 400 Bad Request" */
        return error_set(error, EPROTO,
                         "the proxy does not answer as SOCKS%d does: it seems to be one for HTTP",
                         version);
    return error_set(error, EPROTO, "the proxy does not answer as SOCKS%d does: 0x%02x", version,
                     (unsigned)byte);
}

/* "0.0.0.x" stands for a name behind the user (SOCKS4a), so that such addresses are sent as names.
 */
static void add_socks4_request(const struct proxy_request *request, struct buffer *send)
{
    const struct address address = proxy_host(request);
    const bool name = address.family == ADDRESS_NONE || address.value <= UINT8_MAX;
    add_number(send, SOCKS4_VERSION, 1);
    add_number(send, COMMAND_CONNECT, 1);
    add_number(send, request->port, 2);
    add_number(send, name ? 1 : address.value, 4);
    buffer_add_text(send, request->user ? request->user : "");
    buffer_add_character(send, '\0');
    if (!name)
        return;
    buffer_add_text(send, request->host);
    buffer_add_character(send, '\0');
}

static int judge_socks4(unsigned reply, struct error *error)
{
    switch (reply) {
    case SOCKS4_GRANTED:
        return 0;
    case SOCKS4_REJECTED:
        return error_set(error, ECONNREFUSED, "the SOCKS4 proxy says: rejected or failed");
    case SOCKS4_NO_IDENTD:
        return error_set(error, EACCES,
                         "the SOCKS4 proxy refuses: it cannot reach an identd on this machine");
    case SOCKS4_OTHER_USER:
        return error_set(error, EACCES,
                         "the SOCKS4 proxy refuses: identd on this machine names another user");
    default:
        return error_set(error, EPROTO, "the SOCKS4 proxy answers with the unknown code %u", reply);
    }
}

int proxy_socks4_step(struct proxy_negotiation *negotiation, struct bytes *bytes,
                      struct buffer *send, struct error *error)
{
    if (negotiation->step == STEP_BEGIN) {
        add_socks4_request(&negotiation->request, send);
        negotiation->step = STEP_REPLY;
    }
    if (negotiation->step == STEP_OPEN)
        return PROXY_OPEN;
    const size_t left = bytes_left(bytes);
    /* The reply's version is 0; some proxies say 4. */
    if (left >= 1 && bytes->at[0] != 0 && bytes->at[0] != SOCKS4_VERSION)
        return complain_of_version(bytes->at[0], SOCKS4_VERSION, error);
    int code = left >= 2 ? judge_socks4(bytes->at[1], error) : 0;
    if (code != 0)
        return code;
    if (left < SOCKS4_REPLY_SIZE)
        return PROXY_MORE;
    bytes_skip(bytes, SOCKS4_REPLY_SIZE);
    negotiation->step = STEP_OPEN;
    return PROXY_OPEN;
}

static void add_text(struct buffer *send, const char *text)
{
    const size_t length = strlen(text);
    add_number(send, length, 1);
    buffer_add(send, text, length);
}

static void add_greeting(const struct proxy_request *request, struct buffer *send)
{
    add_number(send, SOCKS5_VERSION, 1);
    add_number(send, request->user ? 2 : 1, 1); /* so many methods */
    add_number(send, METHOD_NONE, 1);
    if (request->user)
        add_number(send, METHOD_PASSWORD, 1);
}

static void add_password(const struct proxy_request *request, struct buffer *send)
{
    add_number(send, PASSWORD_VERSION, 1);
    add_text(send, request->user);
    add_text(send, request->password ? request->password : "");
}

static void add_socks5_request(const struct proxy_request *request, struct buffer *send)
{
    const struct address address = proxy_host(request);
    add_number(send, SOCKS5_VERSION, 1);
    add_number(send, COMMAND_CONNECT, 1);
    add_number(send, 0, 1); /* reserved */
    switch (address.family) {
    case ADDRESS_IPV4:
        add_number(send, SOCKS5_IPV4, 1);
        add_number(send, address.value, 4);
        break;
    case ADDRESS_IPV6:
        add_number(send, SOCKS5_IPV6, 1);
        add_number(send, address.value, 16);
        break;
    case ADDRESS_NONE:
        add_number(send, SOCKS5_NAME, 1);
        add_text(send, request->host);
        break;
    }
    add_number(send, request->port, 2);
}

/* Each of these takes one answer, when all of it is there, and adds what is said next. They return
 * PROXY_MORE; the step has changed when it was there. */

static int take_method(struct proxy_negotiation *negotiation, struct bytes *bytes,
                       struct buffer *send, struct error *error)
{
    const struct proxy_request *request = &negotiation->request;
    const size_t left = bytes_left(bytes);
    if (left >= 1 && bytes->at[0] != SOCKS5_VERSION)
        return complain_of_version(bytes->at[0], SOCKS5_VERSION, error);
    if (left < 2)
        return PROXY_MORE;
    const unsigned method = bytes->at[1];
    if (method == METHOD_REFUSED)
        return error_set(error, EACCES,
                         request->user
                             ? "the SOCKS5 proxy takes neither a user with a password nor none"
                             : "the SOCKS5 proxy wants a user and a password, or more");
    if (method != METHOD_NONE && (method != METHOD_PASSWORD || !request->user))
        return error_set(error, EPROTO,
                         "the SOCKS5 proxy chooses the method %u, which was not offered", method);
    bytes_skip(bytes, 2);
    if (method == METHOD_PASSWORD) {
        add_password(request, send);
        negotiation->step = STEP_PASSWORD;
    } else {
        add_socks5_request(request, send);
        negotiation->step = STEP_REPLY;
    }
    return PROXY_MORE;
}

static int take_password(struct proxy_negotiation *negotiation, struct bytes *bytes,
                         struct buffer *send, struct error *error)
{
    const size_t left = bytes_left(bytes);
    /* The version is 1, that of RFC 1929; some proxies say 5. */
    if (left >= 1 && bytes->at[0] != PASSWORD_VERSION && bytes->at[0] != SOCKS5_VERSION)
        return complain_of_version(bytes->at[0], SOCKS5_VERSION, error);
    if (left < 2)
        return PROXY_MORE;
    if (bytes->at[1] != 0)
        return error_set(error, EACCES, "the SOCKS5 proxy does not take this user and password");
    bytes_skip(bytes, 2);
    add_socks5_request(&negotiation->request, send);
    negotiation->step = STEP_REPLY;
    return PROXY_MORE;
}

/* RFC 1928 §6. */
static int judge_socks5(unsigned reply, struct error *error)
{
    static const struct {
        int code;
        const char *text;
    } replies[] = {
        {0, ""},
        {EHOSTUNREACH, "general failure"},
        {EACCES, "not allowed by its rules"},
        {ENETUNREACH, "network unreachable"},
        {EHOSTUNREACH, "host unreachable"},
        {ECONNREFUSED, "connection refused"},
        {ETIMEDOUT, "time to live expired"},
        {EPROTO, "command not supported"},
        {EPROTO, "address type not supported"},
    };
    if (reply >= sizeof(replies) / sizeof(*replies))
        return error_set(error, EPROTO, "the SOCKS5 proxy answers with the unknown code %u", reply);
    if (replies[reply].code == 0)
        return 0;
    return error_set(error, replies[reply].code, "the SOCKS5 proxy says: %s", replies[reply].text);
}

/* How long a reply with this address type is; 0: there is no such. */
static size_t reply_size(unsigned type, unsigned name_length)
{
    const size_t rest = 4 + 2; /* what is before the address, and the port */
    switch (type) {
    case SOCKS5_IPV4:
        return rest + 4;
    case SOCKS5_IPV6:
        return rest + 16;
    case SOCKS5_NAME:
        return rest + 1 + name_length;
    default:
        return 0;
    }
}

static int take_reply(struct proxy_negotiation *negotiation, struct bytes *bytes,
                      struct error *error)
{
    const unsigned char *at = bytes->at;
    const size_t left = bytes_left(bytes);
    if (left >= 1 && at[0] != SOCKS5_VERSION)
        return complain_of_version(at[0], SOCKS5_VERSION, error);
    int code = left >= 2 ? judge_socks5(at[1], error) : 0; /* some end behind it */
    if (code != 0)
        return code;
    if (left >= 4 && reply_size(at[3], 0) == 0)
        return error_set(error, EPROTO, "the SOCKS5 proxy answers with the unknown address type %u",
                         (unsigned)at[3]);
    if (left < 5 || left < reply_size(at[3], at[4]))
        return PROXY_MORE;
    bytes_skip(bytes, reply_size(at[3], at[4]));
    negotiation->step = STEP_OPEN;
    return PROXY_MORE;
}

int proxy_socks5_step(struct proxy_negotiation *negotiation, struct bytes *bytes,
                      struct buffer *send, struct error *error)
{
    int code = 0;
    if (negotiation->step == STEP_BEGIN) {
        add_greeting(&negotiation->request, send);
        negotiation->step = STEP_METHOD;
    }
    if (negotiation->step == STEP_METHOD)
        code = take_method(negotiation, bytes, send, error);
    if (code == 0 && negotiation->step == STEP_PASSWORD)
        code = take_password(negotiation, bytes, send, error);
    if (code == 0 && negotiation->step == STEP_REPLY)
        code = take_reply(negotiation, bytes, error);
    if (code != 0)
        return code;
    return negotiation->step == STEP_OPEN ? PROXY_OPEN : PROXY_MORE;
}
