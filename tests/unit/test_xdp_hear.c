/* Answers that come in to the program inside the kernel: it hands them over as they are, and resets
 * what they opened. */
#include "xdp_frames.h"

static void take_resets(void)
{
    const uint8_t flags = scene.link.acknowledges ? TCP_RST : TCP_RST | TCP_ACK;
    const uint32_t sequence = scene.link.acknowledges ? cookie() : 7;
    for (uint32_t more = 0; more <= 1; more++) {
        struct sample packet = answer(flags, sequence, cookie() + more);
        assert_taken(&packet);
        for (uint32_t options = 4; !is_ipv6() && options <= 40; options += 4) {
            packet = answer(flags, sequence, cookie() + more);
            add_options(&packet, options);
            mend(&packet);
            assert_taken(&packet);
        }
    }
}

static void resets_are_taken(void **state)
{
    NEED_RIGHTS;
    with_each(take_resets);
}

static void take_errors(void)
{
    const uint8_t types[2][3] = {{3, 11, 12}, {1, 3, 4}};
    const struct sample about = probe();
    for (size_t i = 0; i < 3; i++)
        for (uint8_t code = 0; code < 16; code += 5)
            for (uint32_t quoted = is_ipv6() ? 48 : 28; quoted <= about.length; quoted += 2) {
                struct sample packet =
                    make_error(code ? &router : &target, types[is_ipv6()][i], code, &about, quoted);
                assert_taken(&packet);
            }
}

static void errors_are_taken(void **state)
{
    NEED_RIGHTS;
    with_each(take_errors);
}

static void take_errors_with_options(void)
{
    for (uint32_t outer = 0; outer <= 40; outer += 8)
        for (uint32_t inner = 0; inner <= 40; inner += 20) {
            struct sample about = probe();
            add_options(&about, inner);
            struct sample packet = error_about(&about);
            add_options(&packet, outer);
            mend(&packet);
            assert_taken(&packet);
        }
}

static void options_are_skipped(void **state)
{
    NEED_RIGHTS;
    begin(ADDRESS_IPV4, &prober_tcp_syn);
    take_errors_with_options();
    /* The RST would have to leave them out: the kernel does that. */
    struct sample packet = syn_ack();
    add_options(&packet, 4);
    mend(&packet);
    assert_passes(&packet);
    end();
}

static void take_syn_acks(void)
{
    struct sample packet = syn_ack();
    assert_taken_and_reset(&packet);
    packet = answer(TCP_SYN | TCP_ACK, 1, cookie() + 1);
    assert_taken_and_reset(&packet);
    for (uint32_t more = 1; more < 60; more += 7) { /* data, or options */
        packet = syn_ack();
        memset(packet.bytes + packet.length, 0xaa, more);
        packet.length += more;
        mend(&packet);
        assert_taken_and_reset(&packet);
    }
    /* As another namespace's kernel leaves it: without its checksum. */
    packet = syn_ack();
    struct sample frame = framed(&packet, 0, 0);
    frame.bytes[ETH_HLEN + header_length(&packet) + 16] ^= 0xff;
    struct sample other = framed(&packet, 0, 0);
    assert_int_equal(hear(&frame), TX);
    assert_int_equal(hear(&other), TX);
    assert_int_equal(frame.length, other.length);
    assert_memory_equal(frame.bytes, other.bytes, other.length);
}

static void syn_acks_are_taken_and_reset(void **state)
{
    NEED_RIGHTS;
    with_syn(take_syn_acks);
}

/* ---- what is known already ---- */

static void take_what_is_known(void)
{
    const struct endpoint endpoint = {target, {PROTOCOL_TCP, PORT}};
    const struct xdp_state *state = scene.program.state;
    uint64_t index = 0;
    assert_true(plan_find(&scene.plan, &endpoint, &index));
    for (unsigned known = 1; known < 4; known++) {
        scene.program.ledger[index / 32] = (uint64_t)known << index % 32 * 2;
        for (uint16_t tag = 0; tag < PROBE_TAGS; tag++) {
            const uint16_t port = (uint16_t)(FIRST_PORT + tag);
            struct tcp_packet packet =
                segment(TCP_SYN | TCP_ACK, 1, scene_cookie(&scene, &target, port, PORT) + 1);
            packet.destination_port = port;
            const struct sample answer = built(&packet);
            struct sample frame = framed(&answer, 0, 0);
            const uint64_t duplicates = state->duplicates, resets = state->resets;
            assert_int_equal(hear(&frame), TX);
            assert_int_equal(heard.count, tag >= PASS_TAGS);
            assert_int_equal(state->duplicates - duplicates, tag < PASS_TAGS);
            assert_int_equal(state->resets - resets, 1);
        }
    }
    scene.program.ledger[index / 32] = ~(UINT64_C(3) << index % 32 * 2); /* all others */
    const struct sample packet = syn_ack();
    assert_taken_and_reset(&packet);
    assert_int_equal(state->missed, 0);
}

static void known_ports_are_not_told_again(void **state)
{
    NEED_RIGHTS;
    with_syn(take_what_is_known);
}

static void what_finds_no_room_is_counted(void **state)
{
    NEED_RIGHTS;
    begin(ADDRESS_IPV6, &prober_tcp_syn);
    struct sample packet = syn_ack();
    const uint64_t most = XDP_RING_SIZE / (XDP_LONG + sizeof(struct xdp_record));
    uint64_t count = 0;
    memset(packet.bytes + packet.length, 0xaa, 100);
    packet.length += 100;
    mend(&packet);
    const struct sample original = framed(&packet, 0, 0);
    for (; scene.program.state->missed < 3 && count < 2 * most; count++) {
        struct sample frame = original;
        uint32_t action = 0;
        assert_int_equal(xdp_program_hear(&scene.program, frame.bytes, &frame.length, &action), 0);
        assert_int_equal(action, TX);
    }
    assert_int_equal(scene.program.state->missed, 3);
    heard.count = 0;
    assert_int_equal(ring_buffer__consume(ring), count - 3);
    assert_int_equal(heard.count, count - 3);
    assert_taken_and_reset(&packet); /* there is room again */
    assert_int_equal(scene.program.state->missed, 3);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resets_are_taken),
        cmocka_unit_test(errors_are_taken),
        cmocka_unit_test(options_are_skipped),
        cmocka_unit_test(syn_acks_are_taken_and_reset),
        cmocka_unit_test(known_ports_are_not_told_again),
        cmocka_unit_test(what_finds_no_room_is_counted),
    };
    return cmocka_run_group_tests(tests, scene_setup, NULL);
}
