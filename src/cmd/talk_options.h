/* The options of conversations: one struct, which `connect`, `listen`, `relay` and the classic
 * names nc and telnet fill in, and the tables that these verbs share. */
#pragma once

#include "cmd/command.h"
#include "net/address.h"
#include "talk/pair.h"

struct talk_options {
    struct common_options common;

    /* what kind of port */
    bool udp, tls, telnet;
    const char *unix_path;
    bool ipv4, ipv6, numeric;

    /* times, nanoseconds; 0: no limit */
    uint64_t connect_timeout, idle_timeout;
    bool idle_is_end; /* silence is an end like any other, as for nc -w */

    /* TLS */
    bool insecure;
    const char *client_authorities; /* of whom clients must show a certificate */
    const char *authorities, *certificate, *key, *server_name, *alpn;

    /* connecting */
    const char *source;
    uint64_t source_port;
    const char *proxy;
    uint64_t send_proxy; /* version of the PROXY header; 0: none */

    /* listening */
    bool all, accept_proxy;
    const char *bind;
    struct option_list allow, deny;
    uint64_t max_clients;

    /* who answers there */
    bool keep, broker, chat, http;
    const char *program, *shell;
    const char *answer; /* "last" or "all" */

    /* telnet */
    const char *escape; /* the escape character, as it was typed; NULL: ^] */
    const char *login;  /* whom to log in as */
    bool no_escape;     /* there is none */
    bool binary;        /* ask for binary mode in both directions */
    bool binary_output; /* only for what is sent */
    bool telnet_words;  /* tells of connections as telnet does, always */

    /* what is done with what is said */
    bool crlf, hex, json;
    bool send_only, receive_only;
    const char *record, *replay;
    const char *hex_file;         /* ncat's --hex-dump */
    const char *plain_file;       /* ncat's --output: the bytes of both directions */
    enum pair_eof on_eof;         /* of our own input */
    enum pair_eof on_peer_eof;    /* of what the other side says; the classic names set it */
    uint64_t eof_patience, delay; /* nanoseconds */

    /* relaying */
    uint64_t drain; /* nanoseconds */

    unsigned verbose;
    bool quiet;
    bool netcat; /* tells of connections in nc's words */
};

/* Fills in the defaults. */
void talk_options_init(struct talk_options *options);

/* What no table can check: options that exclude one another. Returns 0 or -EINVAL. */
int talk_options_check(const struct talk_options *options, struct error *error);

enum address_family talk_family(const struct talk_options *options);

/* Tables, each with a heading of its own. */
extern const struct option talk_kind_options[];    /* --udp --unix --tls */
extern const struct option talk_dial_options[];    /* timeouts, source, proxy, --sni */
extern const struct option talk_accept_options[];  /* --all --allow … */
extern const struct option talk_tls_options[];     /* --ca --cert … */
extern const struct option talk_content_options[]; /* --crlf --hex --record --on-eof … */
extern const struct option talk_general_options[]; /* -4 -6 -n --idle-timeout --json -v -q */

/* "keep", "shutdown", "close", "close=SECONDS" into on_eof and eof_patience, as OPTION_CALL. */
int talk_set_on_eof(void *options, const char *name, const char *value, struct error *error);
