/* What records mean, and words for the ends of scans and for local failures. */
#include "scan/record.h"

#include <errno.h>
#include <string.h>

/* That a host or network is unreachable is what others say about it, even where the kernel does not
 * tell who. */
bool port_record_is_from_target(const struct port_record *record)
{
    if (record->reason == REASON_NO_RESPONSE)
        return false;
    if (record->state != STATE_FILTERED)
        return true;
    if (record->from.family != ADDRESS_NONE)
        return false;
    return record->reason == REASON_PORT_UNREACH || record->reason == REASON_PROTO_UNREACH ||
           record->reason == REASON_HOST_PROHIBITED || record->reason == REASON_ADMIN_PROHIBITED;
}

const char *scan_end_name(enum scan_end end)
{
    switch (end) {
    case SCAN_COMPLETE:
        return "complete";
    case SCAN_INTERRUPTED:
        return "interrupted";
    case SCAN_TIMED_OUT:
        return "timed-out";
    case SCAN_FAILED:
        break;
    }
    return "failed";
}

const char *error_name(int code)
{
    const char *name = strerrorname_np(code);
    return name ? name : "unknown";
}

const char *error_meaning(int code)
{
    const char *meaning = strerrordesc_np(code);
    return meaning ? meaning : "Unknown error";
}

const char *error_advice(int code)
{
    switch (code) {
    case EPERM:
    case EACCES:
        return "this machine's own firewall or policy forbids it: see `nft list ruleset`";
    case ENETUNREACH:
        return "no route to it, or a broadcast address: see `ip route get ADDRESS`";
    case EHOSTUNREACH:
        return "this machine's own routes or neighbours stop it: see `ip route get ADDRESS`";
    case EMFILE:
        return "out of file descriptors: raise `ulimit -n`";
    case ENFILE:
        return "the machine is out of file descriptors: raise `sysctl fs.file-max`";
    case EADDRNOTAVAIL:
        return "out of ephemeral ports, or no source address for it: see "
               "`sysctl net.ipv4.ip_local_port_range` and `ip address`";
    case ENOBUFS:
    case ENOMEM:
        return "out of memory for sockets: see `sysctl net.ipv4.tcp_mem` and `ulimit -v`";
    case EINVAL:
        return "a link-local address needs its interface: write address%interface; or a route "
               "discards it: see `ip route get ADDRESS`";
    case ENETDOWN:
    case ENODEV:
        return "the interface was taken down or is gone: see `ip link`";
    case EAFNOSUPPORT:
        return "this machine does not speak that family of addresses; IPv6 may be switched off";
    default:
        return "see connect(2)";
    }
}
