/* What `get` and its classic name `curl` share: URLs in turn, bodies to where they belong, exit
 * statuses. */
#include "cmd/get_run.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "cmd/confine.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define FORMAT_MAXIMUM ((size_t)1 << 20)

/* ---- options that are more than a value ---- */

int get_set_data(void *options, const char *name, const char *value, struct error *error)
{
    struct get_given *given = options;
    enum get_data_kind kind = strcmp(name, "--data-binary") == 0      ? GET_DATA_BINARY
                              : strcmp(name, "--data-raw") == 0       ? GET_DATA_RAW
                              : strcmp(name, "--data-urlencode") == 0 ? GET_DATA_ENCODED
                              : strcmp(name, "--json") == 0           ? GET_DATA_JSON
                                                                      : GET_DATA_TEXT;
    if (kind == GET_DATA_JSON)
        given->json_data = true;
    return get_data_add(&given->data, kind, value, error);
}

/* -O has no value, and stands in the list as NULL. */
int get_set_output(void *options, const char *name, const char *value, struct error *error)
{
    struct get_given *given = options;
    if (option_list_add(&given->outputs, value) < 0)
        return error_set(error, ENOMEM, "out of memory at option '%s'", name);
    return 0;
}

int get_set_version(void *options, const char *name, const char *value, struct error *error)
{
    struct get_given *given = options;
    (void)value;
    (void)error;
    if (strcmp(name, "--tlsv1.2") == 0)
        given->get.tls_version = GET_TLS_1_2;
    else if (strcmp(name, "--tlsv1.3") == 0)
        given->get.tls_version = GET_TLS_1_3;
    else
        given->get.version = strcmp(name, "--http1.1") == 0                 ? GET_VERSION_1_1
                             : strcmp(name, "--http2") == 0                 ? GET_VERSION_2
                             : strcmp(name, "--http2-prior-knowledge") == 0 ? GET_VERSION_2_PRIOR
                                                                            : GET_VERSION_1_0;
    return 0;
}

int get_set_auth(void *options, const char *name, const char *value, struct error *error)
{
    struct get_given *given = options;
    (void)value;
    (void)error;
    given->get.auth = strcmp(name, "--digest") == 0    ? GET_AUTH_DIGEST
                      : strcmp(name, "--anyauth") == 0 ? GET_AUTH_ANY
                                                       : GET_AUTH_BASIC;
    return 0;
}

int get_set_redirects(void *options, const char *name, const char *value, struct error *error)
{
    struct get_options *get = &((struct get_given *)options)->get;
    if (!value && strcmp(name, "--location-trusted") == 0)
        get->follow = get->trusted = true;
    else if (!value)
        get->keep_post |= strcmp(name, "--post301") == 0   ? GET_KEEP_POST_301
                          : strcmp(name, "--post302") == 0 ? GET_KEEP_POST_302
                                                           : GET_KEEP_POST_303;
    else if (strcmp(value, "-1") == 0)
        get->redirects_maximum = UINT64_MAX;
    else if (text_parse_number(value, &get->redirects_maximum, NULL) < 0)
        return error_set(error, EINVAL, "option '%s' needs a number or -1, not '%.80s'", name,
                         value);
    return 0;
}

/* ---- one run ---- */

struct run {
    const struct command *command;
    struct get_given *given;
    struct get *get;
    struct get_show show;
    sigset_t signals; /* those that end it */
    int stop;         /* a signalfd of them */
    struct buffer format;

    /* Of the URL that is being asked for. */
    unsigned number;
    const char *path; /* of the output; NULL: standard output, as nobody said otherwise */
    struct output output;
    struct output headers; /* of -D */
    bool with_headers;
    bool terminal; /* the output is standard output, and that a terminal */
    bool begun;    /* the body */
    bool out_of_memory;
};

/* The signals that end the program, but for those that whoever started it has it ignore. From here
 * on they are seen where something is waited for. */
static int catch_signals(struct run *run, struct error *error)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    sigemptyset(&run->signals);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct sigaction action;
        if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(&run->signals, numbers[i]);
    }
    run->stop = signalfd(-1, &run->signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (run->stop < 0 || sigprocmask(SIG_BLOCK, &run->signals, NULL) < 0)
        return error_set(error, errno, "cannot wait for signals: %s", strerror(errno));
    return 0;
}

static int caught_status(const struct run *run)
{
    struct signalfd_siginfo info = {.ssi_signo = SIGINT};
    if (read(run->stop, &info, sizeof(info)) < 0)
        return EXIT_SIGNAL + SIGINT;
    return EXIT_SIGNAL + (int)info.ssi_signo;
}

/* Waits until the reader takes more. Returns 0, or -EINTR when a signal has come. */
static int wait_for_reader(const struct run *run, const struct output *output)
{
    struct pollfd ready[] = {{.fd = output->fd, .events = POLLOUT},
                             {.fd = run->stop, .events = POLLIN}};
    while (poll(ready, 2, -1) < 0 && errno == EINTR)
        ;
    return ready[1].revents ? -EINTR : 0;
}

/* All of it, before more is asked of the network: the reader's pace is the server's. */
static int put(const struct run *run, struct output *output, const void *bytes, size_t length,
               struct error *error)
{
    buffer_add(&output->pending, bytes, length);
    output_pump(output);
    while (output->pending.length > 0 && !output->code)
        if (wait_for_reader(run, output) < 0)
            return error_set(error, EINTR, "interrupted");
        else
            output_pump(output);
    if (!output->code)
        return 0;
    return error_set(error, output->code, "cannot write %s: %s",
                     output->path ? output->path : "standard output", strerror(output->code));
}

static int put_line(const struct run *run, struct output *output, const char *line, size_t length,
                    bool terminal, struct error *error)
{
    if (!terminal)
        return put(run, output, line, length, error);
    while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r'))
        length--;
    size_t size = 4 * length + 2;
    char *escaped = malloc(size);
    if (!escaped)
        return error_set(error, ENOMEM, "out of memory");
    size_t shown = text_escape(line, length, escaped, size - 1);
    escaped[shown] = '\n';
    int r = put(run, output, escaped, shown + 1, error);
    free(escaped);
    return r;
}

/* ---- what happens ---- */

static void on_line(void *user, enum get_line kind, const char *line, size_t length)
{
    struct run *run = user;
    get_show_line(&run->show, kind, line, length);
}

static int on_header(void *user, const char *line, size_t length, struct error *error)
{
    struct run *run = user;
    const struct get_given *given = run->given;
    bool wanted = (given->include || given->get.head) && (!given->records || run->path);
    int r = 0;
    if (wanted)
        r = put_line(run, &run->output, line, length, run->terminal, error);
    if (r == 0 && run->with_headers)
        r = put_line(run, &run->headers, line, length, isatty(run->headers.fd), error);
    return r;
}

static int on_body(void *user, const void *bytes, size_t length, struct error *error)
{
    struct run *run = user;
    if (run->given->records && !run->path)
        return 0;
    /* As curl sees it: text has no NUL bytes. */
    if (run->terminal && !run->path && !run->begun && memchr(bytes, '\0', length))
        return error_set(error, EILSEQ, "binary body: give -o FILE or pipe it");
    run->begun = true;
    get_show_clear(&run->show);
    return put(run, &run->output, bytes, length, error);
}

static void on_progress(void *user, uint64_t received, uint64_t receive_total, uint64_t sent,
                        uint64_t send_total)
{
    struct run *run = user;
    get_show_progress(&run->show, received, receive_total, sent, send_total);
}

static void print_format(struct run *run, const struct get_exchange *exchange)
{
    struct buffer text = {0}, rest = {0};
    struct get_format_facts facts = {
        .number = run->number, .file = run->path, .referer = run->given->get.referer};
    bool terminal = isatty(STDOUT_FILENO) || isatty(STDERR_FILENO);
    get_format(&text, &rest, run->format.data, exchange, &facts, terminal);
    run->out_of_memory |= text.failed || rest.failed;
    fwrite(text.data, 1, text.length, stdout);
    fflush(stdout);
    fwrite(rest.data, 1, rest.length, stderr);
    buffer_release(&text);
    buffer_release(&rest);
}

static void on_exchange(void *user, const struct get_exchange *exchange)
{
    struct run *run = user;
    get_show_exchange(&run->show, exchange);
    if (run->given->records && get_show_record(stdout, exchange) < 0)
        run->out_of_memory = true;
    if (run->format.length && !exchange->followed)
        print_format(run, exchange);
}

/* ---- one URL ---- */

/* The status for what get_fetch() says. */
static int exit_status(const struct run *run, int failed, int code)
{
    switch (-failed) {
    case 0:
        return EXIT_DONE;
    case EINTR:
        return caught_status(run);
    default:
        break;
    }
    if (run->given->classic)
        return code ? code : (int)CURLE_WRITE_ERROR;
    switch (-failed) {
    case EPIPE:
        return EXIT_SIGNAL + SIGPIPE;
    case EINVAL:
        return EXIT_USAGE;
    case ECONNABORTED:
    case ECONNREFUSED:
    case ECONNRESET:
    case ENETUNREACH:
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case EBADMSG:
    case EPROTO:
    case ELOOP:
        return EXIT_INCOMPLETE;
    default:
        return EXIT_TROUBLE;
    }
}

static void complain(struct run *run, int failed, int code, const struct error *error)
{
    const struct get_given *given = run->given;
    const char *advice = "";
    get_show_clear(&run->show);
    if (failed == -EPIPE || failed == -EINTR || (given->silent && !given->show_error))
        return;
    if (code == CURLE_PEER_FAILED_VERIFICATION && !given->get.insecure)
        advice = "; --ca FILE believes its authority, --insecure any certificate";
    if (given->classic && code)
        command_warn(run->command, "(%d) %s%s", code, error->message, advice);
    else
        command_warn(run->command, "%s%s", error->message, advice);
}

/* Where the body of the URL with this number goes. The caller frees *ret_name. */
static int choose_output(struct run *run, const char *word, char **ret_name, struct error *error)
{
    const struct option_list *outputs = &run->given->outputs;
    run->path = NULL;
    if (run->number >= outputs->count)
        return 0;
    run->path = outputs->items[run->number];
    if (run->path)
        return 0;
    int r = get_file_name(word, ret_name, error);
    run->path = r == 0 ? *ret_name : NULL;
    return r;
}

static int open_output(struct run *run, struct error *error)
{
    int r = output_open(&run->output, run->path ? run->path : "-", true, error);
    if (r < 0)
        return r;
    run->terminal = isatty(run->output.fd);
    run->begun = false;
    run->show.meter = run->show.terminal && !run->given->silent && !run->terminal;
    run->show.began = clock_monotonic();
    return 0;
}

/* `failed`: what get_fetch() says, which goes before what the output says. */
static int close_output(struct run *run, int failed, struct error *error)
{
    struct output *output = &run->output;
    if (failed == 0)
        failed = output_finish(output, error);
    if (failed == 0 && output->broken)
        failed = -EPIPE;
    output_release(output);
    return failed;
}

/* Returns an exit status. */
static int fetch(struct run *run, const char *word)
{
    struct error error = {.column = ERROR_NO_COLUMN};
    char *name = NULL;
    int code = 0;
    int r = choose_output(run, word, &name, &error);
    if (r == 0)
        r = open_output(run, &error);
    if (r == 0) {
        r = get_fetch(run->get, word, &code, &error);
        r = close_output(run, r, &error);
    } else {
        code = CURLE_WRITE_ERROR;
    }
    if (r == 0 && run->out_of_memory)
        r = error_set(&error, ENOMEM, "out of memory");
    if (r < 0)
        complain(run, r, code, &error);
    free(name);
    return exit_status(run, r, code);
}

/* ---- all of them ---- */

static bool has_header(const struct option_list *headers, const char *name)
{
    for (size_t i = 0; i < headers->count; i++)
        if (strncasecmp(headers->items[i], name, strlen(name)) == 0)
            return true;
    return false;
}

/* What curl's --json stands for, where the user has not said otherwise. */
static int add_json_headers(struct option_list *headers)
{
    int r = 0;
    if (!has_header(headers, "Content-Type:"))
        r = option_list_add(headers, "Content-Type: application/json");
    if (r == 0 && !has_header(headers, "Accept:"))
        r = option_list_add(headers, "Accept: application/json");
    return r;
}

static int read_format(struct run *run, struct error *error)
{
    const char *format = run->given->format;
    if (!format)
        return 0;
    if (format[0] == '@')
        return file_read(format + 1, FORMAT_MAXIMUM, &run->format, error);
    buffer_add_text(&run->format, format);
    return run->format.failed ? error_set(error, ENOMEM, "out of memory") : 0;
}

static int begin(struct run *run, struct error *error)
{
    struct get_given *given = run->given;
    struct get_options *options = &given->get;
    struct get_events events = {
        .user = run,
        .line = given->verbose ? on_line : NULL,
        .header = on_header,
        .body = on_body,
        .progress = on_progress,
        .exchange = on_exchange,
    };
    int r = read_format(run, error);
    if (r == 0 && given->json_data && add_json_headers(&options->headers) < 0)
        r = error_set(error, ENOMEM, "out of memory");
    if (r == 0)
        r = catch_signals(run, error);
    if (r < 0)
        return r;
    options->data = given->data.data;
    options->data_length = given->data.length;
    options->secure_ports = !given->classic;
    options->method_stays = given->classic;
    options->stop = run->stop;
    if (!options->authorities)
        options->authorities = getenv("SSL_CERT_FILE"); /* as OpenSSL has it elsewhere */
    run->show = (struct get_show){.given = given, .terminal = isatty(STDERR_FILENO)};
    return get_new(options, &events, &run->get, error);
}

/* The status of the last URL that failed. */
static int fetch_each(struct run *run, char **words, int count)
{
    const struct option_list *urls = &run->given->urls;
    int status = EXIT_DONE;
    for (size_t i = 0; i < urls->count + (size_t)count; i++) {
        run->number = (unsigned)i;
        int one = fetch(run, i < urls->count ? urls->items[i] : words[i - urls->count]);
        status = one ? one : status;
        if (one >= EXIT_SIGNAL || (one && run->given->fail_early))
            break;
    }
    return status;
}

/* The file of -D is one for all of them. */
static int fetch_all(struct run *run, char **words, int count)
{
    struct error error = {.column = ERROR_NO_COLUMN};
    const char *path = run->given->headers_file;
    if (!path)
        return fetch_each(run, words, count);
    int r = output_open(&run->headers, path, false, &error);
    run->with_headers = r == 0;
    int status = r == 0 ? fetch_each(run, words, count) : 0;
    if (r == 0)
        r = output_finish(&run->headers, &error);
    if (run->with_headers)
        output_release(&run->headers);
    if (r < 0)
        complain(run, r, CURLE_WRITE_ERROR, &error);
    return r < 0 && !status ? exit_status(run, r, CURLE_WRITE_ERROR) : status;
}

static int run_words(struct run *run, char **words, int count)
{
    struct error error = {.column = ERROR_NO_COLUMN};
    if (count == 0 && run->given->urls.count == 0) {
        command_warn(run->command, "which URL? For example: porthole %s http://localhost:8080/",
                     run->command->name);
        return EXIT_USAGE;
    }
    int r = begin(run, &error);
    if (r < 0) {
        command_complain(run->command, &error);
        if (run->given->classic && r != -EINVAL)
            return r == -ENOMEM ? (int)CURLE_OUT_OF_MEMORY : (int)CURLE_READ_ERROR;
        return r == -ENOMEM ? EXIT_TROUBLE : EXIT_USAGE;
    }
    int status = fetch_all(run, words, count);
    get_free(run->get); /* which writes the cookies */
    return run->given->records || run->format.length ? command_finish(run->command, status)
                                                     : status;
}

int get_run(const struct command *command, struct get_given *given, int argc, char **argv)
{
    struct run run = {.command = command, .given = given, .stop = -1};
    const struct option *const tables[] = {command->options, NULL};
    struct error error = {0};
    int count;
    int status = command_parse(command, argc, argv, given, &count);
    if (status < 0) {
        status = confine_lightly(CONFINEMENT_KEEPS_PATHS, &error) < 0
                     ? EXIT_TROUBLE
                     : run_words(&run, argv, count);
        if (error.code)
            command_complain(command, &error);
        options_release(tables, given);
    }
    if (run.stop >= 0)
        close(run.stop);
    buffer_release(&run.format);
    buffer_release(&given->data);
    free(given->outputs.items);
    return status;
}
