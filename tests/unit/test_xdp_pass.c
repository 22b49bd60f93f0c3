/* Frames that are no answers, and come in to the program inside the kernel: it leaves them alone.
 */
#include "xdp_frames.h"

/* ---- almost answers ---- */

static void pass_wrong_numbers(void)
{
    const uint32_t right = cookie();
    for (uint32_t wrong = 2; wrong; wrong <<= 1) {
        struct sample packets[] = {
            answer(TCP_SYN | TCP_ACK, right, right + 1 + wrong),
            answer(TCP_RST | TCP_ACK, right ^ wrong, right ^ wrong),
            answer(TCP_RST, right + wrong, right),
            answer(TCP_SYN | TCP_ACK, right, right - (wrong > 2)),
        };
        for (size_t i = 0; i < sizeof(packets) / sizeof(*packets); i++)
            if (i != 1 || wrong > 2) /* 2 could be the carry of 1 */
                assert_passes(&packets[i]);
        struct sample about = probe();
        about.bytes[header_length(&about) + 4] ^= (unsigned char)(wrong >> 24 | 1);
        const struct sample packet = error_about(&about);
        assert_passes(&packet);
    }
}

static void wrong_cookies_pass(void **state)
{
    NEED_RIGHTS;
    with_each(pass_wrong_numbers);
}

/* The technique decides which number has to be the cookie, and under which flags. */
static void pass_wrong_flags(void)
{
    for (unsigned flags = 0; flags < 64; flags++) {
        const bool acknowledges = scene.link.acknowledges;
        const bool taken = acknowledges ? flags & TCP_RST : flags & TCP_ACK;
        const struct sample packet =
            answer((uint8_t)flags, acknowledges ? cookie() : 0, acknowledges ? 0 : cookie() + 1);
        struct sample frame = framed(&packet, 0, 0);
        if (!taken)
            assert_passes(&packet);
        else
            assert_int_not_equal(hear(&frame), PASS);
    }
}

static void other_flags_pass(void **state)
{
    NEED_RIGHTS;
    with_each(pass_wrong_flags);
}

static void pass_strangers(void)
{
    const char *const strangers[2][5] = {
        {"198.18.0.255", "198.18.2.0", "198.19.2.0", "198.19.4.1", "255.255.255.255"},
        {"::", "fd01::100", "fd01:0:0:1::100", "fd02::1", "fd01::ffff:ffff:ffff:ffef"}};
    const uint16_t ports[][2] = {
        {0, TAG}, {1001, TAG}, {65535, TAG}, {PORT, PROBE_TAGS}, {PORT, UINT16_MAX}};
    const struct address kept = target;
    for (size_t i = 0; i < 10; i++) {
        if (i < 5)
            target = scene_address(strangers[is_ipv6()][i]);
        const uint16_t port = i < 5 ? PORT : ports[i - 5][0];
        const uint16_t ours = (uint16_t)(FIRST_PORT + (i < 5 ? TAG : ports[i - 5][1]));
        const uint32_t right = scene_cookie(&scene, &target, ours, port);
        struct tcp_packet packet = segment(TCP_SYN | TCP_ACK, 1, right + 1);
        packet.source_port = port;
        packet.destination_port = ours;
        const struct sample segment = built(&packet);
        assert_passes(&segment);
        struct sample about = probe();
        unsigned char *tcp = about.bytes + header_length(&about);
        store(tcp, ours);
        store(tcp + 2, port);
        store(tcp + 4, (uint16_t)(right >> 16));
        store(tcp + 6, (uint16_t)right);
        const struct sample error = error_about(&about);
        assert_passes(&error);
        target = kept;
    }
}

/* Their cookies are right, as if the plan had once been another one. */
static void strangers_pass(void **state)
{
    NEED_RIGHTS;
    with_syn(pass_strangers);
}

static void assert_change_passes(const struct sample *packet, uint32_t at, uint8_t value)
{
    struct sample changed = *packet;
    changed.bytes[at] = value;
    assert_passes(&changed);
}

static void pass_other_packets(void)
{
    struct sample about = probe();
    const struct sample segment = syn_ack(), error = error_about(&about);
    const struct sample *const packets[] = {&segment, &error};
    const uint32_t header = is_ipv6() ? 40 : 20;
    for (size_t i = 0; i < 2; i++) {
        for (unsigned version = 0; version < 16; version++)
            if (version != (is_ipv6() ? 6 : 4))
                assert_change_passes(packets[i], 0,
                                     (uint8_t)(version << 4 | (packets[i]->bytes[0] & 15)));
        for (unsigned protocol = 0; protocol < 256; protocol++)
            if (protocol != packets[i]->bytes[is_ipv6() ? 6 : 9])
                assert_change_passes(packets[i], is_ipv6() ? 6 : 9, (uint8_t)protocol);
        for (unsigned words = 0; !is_ipv6() && words < 5; words++)
            assert_change_passes(packets[i], 0, (uint8_t)(0x40 | words));
        for (unsigned bit = 1; !is_ipv6() && bit < 256; bit <<= 1) { /* fragments */
            assert_change_passes(packets[i], 7, (uint8_t)bit);
            if (bit < 0x40)
                assert_change_passes(packets[i], 6, (uint8_t)bit);
        }
    }
    for (unsigned type = 0; type < 256; type++)
        if (is_ipv6() ? type != 1 && type != 3 && type != 4 : type != 3 && type != 11 && type != 12)
            assert_change_passes(&error, header, (uint8_t)type);
    assert_change_passes(&error, header + 8 + (is_ipv6() ? 6 : 9), IPPROTO_UDP);
    assert_change_passes(&error, header + 8 + (is_ipv6() ? 23 : 15), 99); /* it was not from us */
    assert_change_passes(&error, header + 8, is_ipv6() ? 0x45 : 0x60);
    assert_change_passes(&error, header + 8, is_ipv6() ? 0 : 0x44);
}

static void other_packets_pass(void **state)
{
    NEED_RIGHTS;
    with_syn(pass_other_packets);
}

/* The kernel understands them, and hands them on to the packet socket. */
static void extension_headers_pass(void **state)
{
    NEED_RIGHTS;
    static const uint8_t kinds[] = {0, 43, 44, 60, 51};
    begin(ADDRESS_IPV6, &prober_tcp_syn);
    for (size_t i = 0; i < sizeof(kinds); i++) {
        struct sample packet = syn_ack();
        const unsigned char extension[8] = {IPPROTO_TCP};
        insert(&packet, 40, extension, sizeof(extension));
        packet.bytes[6] = kinds[i];
        store(packet.bytes + 4, (uint16_t)(packet.length - 40));
        assert_passes(&packet);
    }
    end();
}

static void pass_other_frames(void)
{
    const struct sample packet = syn_ack();
    const uint16_t types[] = {is_ipv6() ? ETH_P_IP : ETH_P_IPV6, ETH_P_ARP, 0, 46, 0x88cc, 0x8864};
    for (unsigned tags = 0; tags <= 2; tags++)
        for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
            struct sample frame = framed(&packet, tags, 0);
            store(frame.bytes + 12 + 4 * (size_t)tags, types[i]);
            assert_frame_passes(&frame);
        }
    const struct sample thrice = framed(&packet, 3, 0);
    assert_frame_passes(&thrice);
}

static void other_frames_pass(void **state)
{
    NEED_RIGHTS;
    with_syn(pass_other_frames);
}

static void pass_what_is_cut(void)
{
    struct sample about = probe();
    const struct sample packets[] = {syn_ack(), answer(TCP_RST | TCP_ACK, 0, cookie()),
                                     error_about(&about)};
    for (size_t i = 0; i < sizeof(packets) / sizeof(*packets); i++)
        for (unsigned tags = 0; tags <= 2; tags++) {
            struct sample frame = framed(&packets[i], tags, 0);
            while (--frame.length >= ETH_HLEN)
                assert_frame_passes(&frame);
        }
}

static void what_is_cut_passes(void **state)
{
    NEED_RIGHTS;
    with_syn(pass_what_is_cut);
}

/* A packet that says that it is shorter than its headers has none: what is there is padding. */
static void pass_what_says_it_is_short(void)
{
    struct sample about = probe();
    const struct sample packets[] = {syn_ack(), answer(TCP_RST | TCP_ACK, 0, cookie()),
                                     error_about(&about)};
    const uint32_t header = is_ipv6() ? 40 : 20, needed[] = {20, 20, 8 + header + 8};
    for (size_t i = 0; i < sizeof(packets) / sizeof(*packets); i++)
        for (uint32_t length = 0; length < header + needed[i]; length++) {
            struct sample packet = packets[i];
            if (length < header && is_ipv6())
                continue;
            store(packet.bytes + (is_ipv6() ? 4 : 2), (uint16_t)(length - (is_ipv6() ? 40 : 0)));
            assert_passes(&packet);
        }
}

static void what_says_it_is_short_passes(void **state)
{
    NEED_RIGHTS;
    with_syn(pass_what_says_it_is_short);
}

/* Of what is too long for a record, the kernel takes care. */
static void pass_what_is_long(void)
{
    struct sample packet = syn_ack();
    memset(packet.bytes + packet.length, 0xaa, XDP_HEARD_MOST);
    packet.length = XDP_LONG;
    mend(&packet);
    assert_taken_and_reset(&packet);
    for (packet.length = XDP_LONG + 1; packet.length <= XDP_HEARD_MOST - 60; packet.length += 111) {
        mend(&packet);
        assert_passes(&packet);
    }
}

static void what_is_long_passes(void **state)
{
    NEED_RIGHTS;
    with_syn(pass_what_is_long);
}

/* ---- anything ---- */

static void pass_anything(void)
{
    for (unsigned i = 0; i < 20000; i++) {
        struct sample frame = {.length = ETH_HLEN + (uint32_t)dice(dice(2) ? 100 : 1400)};
        for (uint32_t at = 0; at < frame.length; at++)
            frame.bytes[at] = (unsigned char)dice(256);
        if (dice(4)) { /* some get further */
            store(frame.bytes + 12, is_ipv6() ? ETH_P_IPV6 : ETH_P_IP);
            frame.bytes[ETH_HLEN] = is_ipv6() ? 0x60 : (unsigned char)(0x45 + dice(2));
            frame.bytes[ETH_HLEN + (is_ipv6() ? 6 : 9)] = dice(2)     ? IPPROTO_TCP
                                                          : is_ipv6() ? IPPROTO_ICMPV6
                                                                      : IPPROTO_ICMP;
        }
        assert_frame_passes(&frame);
    }
}

/* Of a frame that passes nothing has changed; any other was one answer, to what has a cookie. */
static void take_or_leave(const struct sample *original)
{
    struct sample frame = *original;
    struct heard answer;
    if (hear(&frame) == PASS) {
        assert_int_equal(heard.count, 0);
        assert_int_equal(frame.length, original->length);
        assert_memory_equal(frame.bytes, original->bytes, frame.length);
        return;
    }
    assert_int_equal(heard.count, 1);
    assert_true(heard.length <= original->length);
    if (is_judged(true, &answer))
        assert_true(plan_find(&scene.plan, &answer.to, &(uint64_t){0}));
}

static void take_or_leave_what_has_changed(void)
{
    struct sample about = probe();
    const struct sample packets[] = {syn_ack(), answer(TCP_RST | TCP_ACK, 0, cookie()),
                                     error_about(&about)};
    for (unsigned i = 0; i < 20000; i++) {
        struct sample frame = framed(&packets[dice(3)], (unsigned)dice(3), (uint32_t)dice(30));
        for (uint64_t changes = 1 + dice(3); changes; changes--)
            frame.bytes[dice(frame.length)] = (unsigned char)(dice(3) ? dice(256) : 0);
        if (dice(8) == 0)
            frame.length = ETH_HLEN + (uint32_t)dice(frame.length - ETH_HLEN);
        take_or_leave(&frame);
    }
}

static void anything_may_come(void **state)
{
    NEED_RIGHTS;
    with_syn(pass_anything);
    with_syn(take_or_leave_what_has_changed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_cookies_pass),     cmocka_unit_test(other_flags_pass),
        cmocka_unit_test(strangers_pass),         cmocka_unit_test(other_packets_pass),
        cmocka_unit_test(extension_headers_pass), cmocka_unit_test(other_frames_pass),
        cmocka_unit_test(what_is_cut_passes),     cmocka_unit_test(what_says_it_is_short_passes),
        cmocka_unit_test(what_is_long_passes),    cmocka_unit_test(anything_may_come),
    };
    return cmocka_run_group_tests(tests, scene_setup, NULL);
}
