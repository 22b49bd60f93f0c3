/* HTTP and HTTPS by libcurl: the session, its exchanges, and the redirects between them. */
#include "base/clock.h"
#include "base/file.h"
#include "talk/get_inner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADERS_MAXIMUM ((size_t)1 << 20) /* of a file */
#define WAIT_MILLISECONDS 1000            /* libcurl wakes up earlier when it has to */

/* ---- the session ---- */

static int add_item(struct curl_slist **list, const char *item, struct error *error)
{
    struct curl_slist *longer = libcurl.slist_append(*list, item);
    if (!longer)
        return error_set(error, ENOMEM, "out of memory");
    *list = longer;
    return 0;
}

static int add_items(struct curl_slist **list, const struct option_list *items, struct error *error)
{
    int r = 0;
    for (size_t i = 0; i < items->count && r == 0; i++)
        r = add_item(list, items->items[i], error);
    return r;
}

/* Another host than the one it is meant for is not to see it. */
static bool is_private(const char *header)
{
    static const char *const names[] = {"Authorization", "Cookie", "Host"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t length = strlen(names[i]);
        if (strncasecmp(header, names[i], length) == 0 && strchr(":; \t", header[length]))
            return true;
    }
    return false;
}

/* A line end within would begin a header, or a request, that nobody asked for. */
static int check_line(const char *what, const char *text, struct error *error)
{
    if (!text || !strpbrk(text, "\r\n"))
        return 0;
    return error_set(error, EINVAL, "the %s '%.80s' has a line end in it", what, text);
}

static int check_lines(const struct get_options *options, struct error *error)
{
    const struct {
        const char *what, *text;
    } lines[] = {
        {"method", options->method},         {"request target", options->request_target},
        {"user agent", options->user_agent}, {"referrer", options->referer},
        {"range", options->range},
    };
    int r = 0;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]) && r == 0; i++)
        r = check_line(lines[i].what, lines[i].text, error);
    for (size_t i = 0; i < options->cookies.count && r == 0; i++)
        r = check_line("cookie", options->cookies.items[i], error);
    return r;
}

static int add_header(struct get *get, const char *header, struct error *error)
{
    int r = check_line("header", header, error);
    if (r == 0)
        r = add_item(&get->headers, header, error);
    if (r == 0 && !is_private(header))
        r = add_item(&get->few_headers, header, error);
    return r;
}

static int add_header_file(struct get *get, const char *path, struct error *error)
{
    struct buffer text = {0};
    int r = file_read(path, HEADERS_MAXIMUM, &text, error);
    for (char *line = text.data; r == 0 && line && *line;) {
        size_t length = strcspn(line, "\n");
        char *next = line[length] ? line + length + 1 : line + length;
        line[length > 0 && line[length - 1] == '\r' ? length - 1 : length] = '\0';
        if (*line)
            r = add_header(get, line, error);
        line = next;
    }
    buffer_release(&text);
    return r;
}

static int read_headers(struct get *get, struct error *error)
{
    const struct option_list *headers = &get->options.headers;
    int r = 0;
    for (size_t i = 0; i < headers->count && r == 0; i++) {
        const char *item = headers->items[i];
        r = item[0] == '@' ? add_header_file(get, item + 1, error) : add_header(get, item, error);
    }
    return r;
}

static int read_cookies(struct get *get, struct error *error)
{
    const struct option_list *cookies = &get->options.cookies;
    for (size_t i = 0; i < cookies->count; i++) {
        if (!strchr(cookies->items[i], '='))
            continue;
        buffer_add_text(&get->cookie, get->cookie.length ? "; " : "");
        buffer_add_text(&get->cookie, cookies->items[i]);
    }
    return get->cookie.failed ? error_set(error, ENOMEM, "out of memory") : 0;
}

static int check_options(const struct get_options *options, struct error *error)
{
    bool posts = options->data && !options->data_in_url;
    if (posts + (options->upload != NULL) + options->head > 1)
        return error_set(error, EINVAL,
                         "data, an upload and asking for headers alone exclude one another");
    if (options->data_in_url && !options->data)
        return error_set(error, EINVAL, "which data is to go into the URL? Give -d DATA");
    if (options->data_in_url && memchr(options->data, '\0', options->data_length))
        return error_set(error, EINVAL, "data with NUL bytes cannot go into the URL");
    if (options->upload && strcmp(options->upload, "-") != 0 && access(options->upload, R_OK) < 0) {
        int code = errno;
        return error_set(error, code, "cannot open '%s': %s", options->upload, strerror(code));
    }
    if (options->cookie_jar && strcmp(options->cookie_jar, "-") == 0)
        return error_set(error, EINVAL, "cookies are written to a file, not to standard output");
    return 0;
}

static int begin(struct get *get, struct error *error)
{
    int r = check_options(&get->options, error);
    if (r == 0)
        r = check_lines(&get->options, error);
    if (r == 0)
        r = read_headers(get, error);
    if (r == 0)
        r = read_cookies(get, error);
    if (r == 0)
        r = add_items(&get->resolve, &get->options.resolve, error);
    if (r == 0)
        r = add_items(&get->connect_to, &get->options.connect_to, error);
    return r;
}

int get_new(const struct get_options *options, const struct get_events *events,
            struct get **ret_get, struct error *error)
{
    int r = libcurl_open(error);
    if (r < 0)
        return r;
    struct get *get = calloc(1, sizeof(*get));
    if (get) {
        get->upload = -1;
        get->options = *options;
        get->events = *events;
        get->easy = libcurl.easy_init();
        get->multi = libcurl.multi_init();
    }
    if (!get || !get->easy || !get->multi)
        r = error_set(error, ENOMEM, "out of memory");
    else
        r = begin(get, error);
    if (r < 0) {
        get_free(get);
        return r;
    }
    *ret_get = get;
    return 0;
}

void get_free(struct get *get)
{
    if (!get)
        return;
    libcurl.easy_cleanup(get->easy);
    libcurl.multi_cleanup(get->multi);
    libcurl.slist_free_all(get->headers);
    libcurl.slist_free_all(get->few_headers);
    libcurl.slist_free_all(get->resolve);
    libcurl.slist_free_all(get->connect_to);
    buffer_release(&get->cookie);
    free(get);
}

/* ---- one exchange ---- */

/* Waits until libcurl or the caller has something to do. */
static CURLcode wait_for_more(struct get *get)
{
    struct curl_waitfd more[2] = {
        {.fd = get->options.stop, .events = CURL_WAIT_POLLIN},
        {.fd = get->upload, .events = CURL_WAIT_POLLIN},
    };
    bool stops = get->options.stop >= 0;
    bool waits = get->upload_waits && get->upload >= 0;
    if (libcurl.multi_poll(get->multi, stops ? more : more + 1, (unsigned)stops + (unsigned)waits,
                           WAIT_MILLISECONDS, NULL))
        return CURLE_OUT_OF_MEMORY;
    if (stops && more[0].revents) {
        get->stopped = true;
        return CURLE_ABORTED_BY_CALLBACK;
    }
    if (waits && more[1].revents) {
        get->upload_waits = false;
        libcurl.easy_pause(get->easy, CURLPAUSE_CONT);
    }
    return CURLE_OK;
}

static CURLcode drive(struct get *get)
{
    int running = 1;
    CURLcode code = CURLE_OK;
    while (!code) {
        if (libcurl.multi_perform(get->multi, &running))
            return CURLE_OUT_OF_MEMORY;
        if (!running)
            break;
        code = wait_for_more(get);
    }
    int left;
    const CURLMsg *message = libcurl.multi_info_read(get->multi, &left);
    return code ? code : message ? message->data.result : CURLE_FAILED_INIT;
}

/* Forgets what the exchange before this one left. */
static void clear_exchange(struct get *get)
{
    get->upload_waits = false;
    get->body_bytes = 0;
    get->body_begun = false;
    get->swallows = false;
    get->has_tls = false;
    get->failed = 0;
    get->message[0] = '\0';
}

/* Returns a CURLcode; `get->failed` is set when the fault is not libcurl's. */
static CURLcode exchange(struct get *get)
{
    CURLcode code = CURLE_FAILED_INIT;
    if (!libcurl.multi_add_handle(get->multi, get->easy)) {
        code = drive(get);
        libcurl.multi_remove_handle(get->multi, get->easy);
    }
    unsigned status = get_status(get);
    if (!code && status >= 400 && (get->options.fail || get->options.fail_with_body)) {
        snprintf(get->message, sizeof(get->message), "the server answers with status %u", status);
        return CURLE_HTTP_RETURNED_ERROR;
    }
    return code;
}

/* ---- redirects ---- */

/* The CURLcode for a URL that get_read_url() refuses. */
static CURLcode url_code(int failed)
{
    return failed == -ENOMEM            ? CURLE_OUT_OF_MEMORY
           : failed == -EPROTONOSUPPORT ? CURLE_UNSUPPORTED_PROTOCOL
                                        : CURLE_URL_MALFORMAT;
}

/* A redirect of a POST asks for GET, unless its status says otherwise (RFC 9110, 15.4). */
static bool becomes_get(const struct get *get, unsigned status)
{
    const struct get_options *options = &get->options;
    bool posts = options->data && !options->data_in_url && !options->upload;
    unsigned keep = status == 301   ? GET_KEEP_POST_301
                    : status == 302 ? GET_KEEP_POST_302
                    : status == 303 ? GET_KEEP_POST_303
                                    : 0;
    if (!keep || (posts && (options->keep_post & keep)))
        return false;
    bool named = options->method && !options->method_stays;
    bool named_post = named && strcasecmp(options->method, "POST") == 0;
    return status == 303 ? !options->head : posts || named_post;
}

/* The URL that the answer leads to, in `get->next`. Returns 0 or -errno with an error. */
static int read_next(struct get *get, const char *redirect, CURLcode *code, struct error *error)
{
    if (get->sums.redirects >= get->options.redirects_maximum) {
        *code = CURLE_TOO_MANY_REDIRECTS;
        return error_set(error, ELOOP, "%u redirects followed, and there is yet another",
                         get->sums.redirects);
    }
    free(get->own_user);
    get->own_user = NULL;
    get->next = libcurl.url();
    int r = get->next ? get_read_url(get->next, redirect, false, &get->own_user, error)
                      : error_set(error, ENOMEM, "out of memory");
    if (r == 0)
        return 0;
    libcurl.url_cleanup(get->next);
    get->next = NULL;
    *code = url_code(r);
    return r == -ENOMEM ? r : -EPROTO; /* it is the server that said so */
}

/* Goes to where the answer leads. */
static void move_on(struct get *get)
{
    libcurl.url_cleanup(get->url);
    get->url = get->next;
    get->next = NULL;
    get->elsewhere = !get_same_origin(get->first, get->url);
    if (becomes_get(get, get_status(get)))
        get->as_get = true;
    get->sums.redirects++;
}

/* Of what libcurl says, whose fault it is. */
static int fault(CURLcode code)
{
    switch (code) {
    case CURLE_OUT_OF_MEMORY:
        return ENOMEM;
    case CURLE_URL_MALFORMAT:
    case CURLE_BAD_FUNCTION_ARGUMENT:
    case CURLE_UNKNOWN_OPTION:
    case CURLE_NOT_BUILT_IN:
        return EINVAL;
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
    case CURLE_SSL_CIPHER:
    case CURLE_INTERFACE_FAILED:
        return EACCES;
    case CURLE_READ_ERROR:
    case CURLE_WRITE_ERROR:
    case CURLE_FAILED_INIT:
    case CURLE_SEND_FAIL_REWIND:
        return EIO;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return EHOSTUNREACH;
    case CURLE_OPERATION_TIMEDOUT:
        return ETIMEDOUT;
    case CURLE_HTTP_RETURNED_ERROR:
        return EBADMSG;
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return ECONNABORTED;
    default:
        return EPROTO;
    }
}

/* libcurl says that it could not connect, and the system why. */
static void add_cause(struct get *get, CURLcode code)
{
    static const char vague[] = ": Couldn't connect to server";
    size_t length = strlen(get->message), tail = sizeof(vague) - 1;
    long cause = 0;
    libcurl.easy_getinfo(get->easy, CURLINFO_OS_ERRNO, &cause);
    if (code != CURLE_COULDNT_CONNECT || cause <= 0 || length < tail ||
        strcmp(get->message + length - tail, vague) != 0)
        return;
    length -= tail;
    snprintf(get->message + length, sizeof(get->message) - length, ": %s", strerror((int)cause));
}

/* Why it could not connect: what lies with this machine is told from the rest. */
static int connect_fault(struct get *get)
{
    static const int causes[] = {ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH,
                                 ECONNRESET,   EMFILE,    ENFILE,       ENOMEM,
                                 EPERM,        EACCES,    EADDRNOTAVAIL};
    long cause = 0;
    libcurl.easy_getinfo(get->easy, CURLINFO_OS_ERRNO, &cause);
    for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++)
        if (cause == causes[i])
            return causes[i];
    return ECONNREFUSED;
}

static int explain(struct get *get, CURLcode code, struct error *error)
{
    int number = code == CURLE_COULDNT_CONNECT ? connect_fault(get) : fault(code);
    if (get->stopped)
        return error_set(error, EINTR, "interrupted");
    if (get->failed) {
        *error = get->error;
        return get->failed;
    }
    size_t length = strlen(get->message);
    while (length > 0 && strchr("\r\n.", get->message[length - 1]))
        get->message[--length] = '\0';
    add_cause(get, code);
    return error_set(error, number, "%s", length ? get->message : libcurl.easy_strerror(code));
}

/* ---- a URL with all its redirects ---- */

/* Where the answer leads, as a whole URL. libcurl's has no credentials in it, except those that the
 * server itself put there. */
static const char *find_redirect(struct get *get)
{
    const char *redirect = NULL;
    libcurl.easy_getinfo(get->easy, CURLINFO_REDIRECT_URL, &redirect);
    return redirect;
}

/* The exchange is over: hands it over. `get->next` is where to go (NULL: nowhere). Returns 0 or
 * -errno with an error. */
static int conclude(struct get *get, uint64_t began, CURLcode *code, struct error *error)
{
    int r = *code || get->failed ? explain(get, *code, error) : 0;
    const char *redirect = find_redirect(get);
    if (r == 0 && redirect && get->options.follow)
        r = read_next(get, redirect, code, error);
    snprintf(get->message, sizeof(get->message), "%.250s", r < 0 ? error->message : "");
    if (get_tell_exchange(get, *code, r, began, redirect, get->next != NULL) < 0 && r == 0)
        r = error_set(error, ENOMEM, "out of memory");
    return r;
}

/* One exchange. Returns 0 or -errno with an error. */
static int step(struct get *get, CURLcode *ret_code, struct error *error)
{
    uint64_t began = clock_wall();
    clear_exchange(get);
    int r = get_set_up(get, error);
    *ret_code = r == 0 ? exchange(get) : get->options.upload ? CURLE_READ_ERROR : CURLE_FAILED_INIT;
    if (get->upload >= 0)
        close(get->upload);
    get->upload = -1;
    return r < 0 ? r : conclude(get, began, ret_code, error);
}

static int travel(struct get *get, CURLcode *ret_code, struct error *error)
{
    int r;
    while ((r = step(get, ret_code, error)) == 0 && get->next)
        move_on(get);
    return r;
}

static int add_query(struct get *get, struct error *error)
{
    if (!get->options.data_in_url || get->options.data_length == 0)
        return 0;
    char *query = strndup(get->options.data, get->options.data_length);
    CURLUcode code = query ? libcurl.url_set(get->url, CURLUPART_QUERY, query, CURLU_APPENDQUERY)
                           : CURLUE_OUT_OF_MEMORY;
    free(query);
    return code ? error_set(error, code == CURLUE_OUT_OF_MEMORY ? ENOMEM : EINVAL,
                            "the data cannot go into the URL: %s", libcurl.url_strerror(code))
                : 0;
}

/* Sets out for a word. */
static int depart(struct get *get, const char *word, struct error *error)
{
    get->elsewhere = get->as_get = get->stopped = false;
    get->sums = (struct get_sums){0};
    get->started = clock_monotonic();
    get->url = libcurl.url();
    if (!get->url)
        return error_set(error, ENOMEM, "out of memory");
    int r = get_read_url(get->url, word, get->options.secure_ports, &get->user, error);
    if (r == 0)
        r = add_query(get, error);
    if (r == 0 && !(get->first = libcurl.url_dup(get->url)))
        r = error_set(error, ENOMEM, "out of memory");
    return r;
}

int get_fetch(struct get *get, const char *word, int *ret_code, struct error *error)
{
    CURLcode code = CURLE_OK;
    struct error ignored = {0};
    error = error ? error : &ignored;
    int r = depart(get, word, error);
    if (r < 0)
        code = url_code(r);
    else
        r = travel(get, &code, error);
    libcurl.url_cleanup(get->url);
    libcurl.url_cleanup(get->first);
    libcurl.url_cleanup(get->next);
    free(get->user);
    free(get->own_user);
    get->url = get->first = get->next = NULL;
    get->user = get->own_user = NULL;
    *ret_code = (int)code;
    return r == -EPROTONOSUPPORT ? -EINVAL : r;
}
