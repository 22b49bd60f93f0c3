/* HTTP and HTTPS by libcurl: one URL after another, each redirect an exchange of its own, with all
 * that went over the wire. Nothing is printed: what happens is handed over by calls. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "base/option.h"
#include "talk/tls.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct get; /* connections, cookies and sessions, which later URLs use again */

enum get_version {
    GET_VERSION_ANY, /* HTTP/2 where TLS agrees on it, else HTTP/1.1 */
    GET_VERSION_1_0,
    GET_VERSION_1_1,
    GET_VERSION_2,       /* over TLS, and by an upgrade without */
    GET_VERSION_2_PRIOR, /* at once, without asking whether the server knows it */
};

enum get_tls_version {
    GET_TLS_ANY,
    GET_TLS_1_2, /* at least */
    GET_TLS_1_3,
};

enum get_auth {
    GET_AUTH_BASIC,
    GET_AUTH_DIGEST,
    GET_AUTH_ANY, /* the best one that the server offers */
};

/* Redirects by which a POST stays one, a set. */
enum get_keep_post {
    GET_KEEP_POST_301 = 1,
    GET_KEEP_POST_302 = 2,
    GET_KEEP_POST_303 = 4,
};

struct get_options {
    /* The request. Texts are the caller's and outlive the session; NULL: not given. */
    const char *method; /* instead of the one that follows from the rest */
    bool method_stays;  /* also where a redirect asks for GET, as curl has it */
    bool head;          /* only the headers are asked for */
    const void *data;   /* what a POST says */
    size_t data_length;
    bool data_in_url;           /* `data` becomes the query of a GET */
    const char *upload;         /* the file that a PUT says; "-": standard input */
    struct option_list headers; /* "Name: value"; "Name:" leaves one out that would be sent; "Name;"
                                   sends an empty one; "@FILE" is a file of such lines */
    const char *user_agent;     /* NULL: porthole/VERSION; "": none */
    const char *referer;
    const char *range;          /* "0-499,1000-" */
    const char *user;           /* "NAME:PASSWORD" */
    unsigned auth;              /* enum get_auth */
    struct option_list cookies; /* "name=value; …", or without a "=" the file of a cookie jar */
    const char *cookie_jar;     /* the file that get_free() writes the cookies to; "-" is refused */
    bool compressed;            /* the body may come compressed; it is handed over as it was */
    bool path_as_is;            /* "/../" stays in the URL */
    const char *request_target; /* instead of the path of the URL */

    /* Redirects. */
    bool follow;
    uint64_t redirects_maximum; /* UINT64_MAX: no limit */
    bool trusted;               /* credentials also go to other hosts than the first one */
    unsigned keep_post;         /* enum get_keep_post */

    /* The way there. */
    unsigned version;              /* enum get_version */
    bool ipv4, ipv6;               /* only of that family; both: either */
    const char *interface;         /* an interface, address or host's name to send from */
    const char *unix_socket;       /* the path of one to connect to */
    struct option_list resolve;    /* "HOST:PORT:ADDRESS" */
    struct option_list connect_to; /* "HOST1:PORT1:HOST2:PORT2" */
    const char *proxy;             /* a URL; "": none, whatever the environment says */
    const char *proxy_user;        /* "NAME:PASSWORD" */
    const char *no_proxy;          /* hosts, "*": all */
    uint64_t connect_timeout;      /* nanoseconds; 0: libcurl's */
    uint64_t timeout;              /* of one URL with all its redirects; 0: none */

    /* TLS. */
    bool insecure;
    const char *authorities; /* a file or a directory, instead of the system's */
    const char *certificate;
    const char *key;
    const char *key_password;
    unsigned tls_version; /* enum get_tls_version */

    /* Failures. */
    bool fail;           /* a status of 400 or above is one, its body is not handed over */
    bool fail_with_body; /* the same, but it is */

    bool secure_ports; /* a URL without a scheme means https at the ports 443 and 8443 */
    int stop;          /* a descriptor: what is going on ends when it becomes readable; -1: none */
};

struct get_header {
    const char *name, *value; /* hostile */
};

/* Microseconds since the exchange began; 0: it did not come to that. */
struct get_times {
    uint64_t lookup, connect, tls, request, first_byte, total;
};

/* Of an exchange and all that led to it by redirects. */
struct get_sums {
    struct get_times times;
    uint64_t redirect_time; /* microseconds, of those before the last one */
    unsigned redirects, connections;
    uint64_t header_bytes, request_bytes;
};

/* One request, and what became of it. All texts are valid during the call alone, and hostile where
 * they come from the server. */
struct get_exchange {
    uint64_t began;  /* wall clock */
    const char *url; /* without user and password */
    const char *method;
    unsigned status;                            /* 0: no answer */
    unsigned proxy_status;                      /* of a proxy's CONNECT */
    const char *version;                        /* of HTTP, "1.1", "2"; "" without an answer */
    char remote_address[64], local_address[64]; /* "": none */
    uint16_t remote_port, local_port;
    const char *unix_socket;          /* the path instead of these; NULL: none */
    bool reused;                      /* the connection was there already */
    const char *redirect;             /* where the answer leads, as a whole URL; NULL: nowhere */
    bool followed;                    /* and an exchange with that follows */
    const struct get_header *headers; /* of the answer, in order */
    size_t header_count;
    const char *content_type; /* NULL: not said */
    uint64_t body_bytes;      /* of the answer as handed over, or what there was of it */
    uint64_t upload_bytes;
    struct get_times times;
    const struct tls_description *tls; /* NULL: no TLS, or no answer through it */
    long verify_result;                /* OpenSSL's; 0: believed, or nothing to believe */
    struct get_sums sums;
    int failed;          /* 0, or -errno as get_fetch() says it */
    int code;            /* CURLcode; 0: it went well */
    const char *message; /* what did not; "" */
};

enum get_line {
    GET_LINE_NOTE,  /* what is done: "Connected to …" */
    GET_LINE_SENT,  /* of the request */
    GET_LINE_HEARD, /* of the answer's headers */
};

/* What happens, as it does. Each may be NULL. Those that return a number return 0, or -errno with
 * an error to end it all. */
struct get_events {
    void *user;
    /* A line that went over the wire, without its end. Hostile. */
    void (*line)(void *user, enum get_line kind, const char *line, size_t length);
    /* A line of a response's headers as it came, its end included; also of what comes before the
     * last response: 100 Continue, a proxy's answer. */
    int (*header)(void *user, const char *line, size_t length, struct error *error);
    int (*body)(void *user, const void *bytes, size_t length, struct error *error);
    /* Now and then; of totals, 0 is unknown. */
    void (*progress)(void *user, uint64_t received, uint64_t receive_total, uint64_t sent,
                     uint64_t send_total);
    /* An exchange is over. */
    void (*exchange)(void *user, const struct get_exchange *exchange);
};

/* Reads what the options name: files of headers, certificates later. Returns 0 or -errno with an
 * error. The options are copied, the texts in them are not. */
int get_new(const struct get_options *options, const struct get_events *events,
            struct get **ret_get, struct error *error);
void get_free(struct get *get); /* NULL is allowed */

/* Asks for a URL; without a scheme it is http, unless `secure_ports` says otherwise. Returns 0, or
 * -errno with an error: -EINVAL for a URL that is none or an option that does not go with it,
 * -EINTR when `stop` became readable, what a callback returned; -ECONNREFUSED, -ECONNRESET,
 * -ECONNABORTED, -ETIMEDOUT, -EHOSTUNREACH, -ENETUNREACH, -EPROTO, -EBADMSG (a status) and -ELOOP
 * for what lies with the other side, and anything else for this machine. *ret_code is the CURLcode.
 */
int get_fetch(struct get *get, const char *word, int *ret_code, struct error *error);

/* The last part of a URL's path, to name a file after it. Returns 0, -ENOMEM, or -EINVAL when there
 * is none that can be one. The caller frees *ret_name. */
int get_file_name(const char *word, char **ret_name, struct error *error);

/* ---- what a POST says ---- */

enum get_data_kind {
    GET_DATA_TEXT,    /* "@FILE": a file without its line ends and NULs */
    GET_DATA_BINARY,  /* "@FILE": a file as it is */
    GET_DATA_RAW,     /* never a file */
    GET_DATA_ENCODED, /* "TEXT", "=TEXT", "NAME=TEXT", "@FILE" or "NAME@FILE", percent-encoded */
    GET_DATA_JSON,    /* as binary, and joined to what was there without a "&" */
};

/* Adds the words of an option -d to `data`, joined by "&". Returns 0 or -errno with an error. */
int get_data_add(struct buffer *data, enum get_data_kind kind, const char *word,
                 struct error *error);

/* ---- what became of it, by a format like curl's -w ---- */

struct get_format_facts {
    unsigned number;     /* of the URL among all, from 0 */
    const char *file;    /* that the body went to; NULL: none */
    const char *referer; /* NULL: none */
};

/* Adds `format` with its %{variables} filled in and its \n, \t and \r read. What %{stderr} divides
 * off goes to `rest`. `escape`: what comes from the server is shown on a terminal. */
void get_format(struct buffer *text, struct buffer *rest, const char *format,
                const struct get_exchange *exchange, const struct get_format_facts *facts,
                bool escape);
