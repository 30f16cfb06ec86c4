// SPDX-License-Identifier: BSL-1.0
// Messages to a process and back, and how many clients a server can take in a second.
#include "mp/mp.hpp"

#include "bench.hpp"
#include "raw.hpp"

#include <string>
#include <vector>

namespace bench {

namespace {

using mp::connection::Address;
using mp::connection::Client;
using mp::connection::Family;
using mp::connection::Listener;

constexpr std::string_view key = "the key of the bench";

// Until an empty message.
void echo(mp::Connection connection) {
    std::vector<std::byte> buffer(std::size_t{1} << 20);
    for (;;) {
        const std::size_t size = connection.recv_bytes_into(buffer);
        if (size == 0) {
            return;
        }
        connection.send_bytes(std::span(buffer).first(size));
    }
}

void echo_objects(mp::Connection connection) {
    for (;;) {
        const auto text = connection.recv<std::string>();
        if (text.empty()) {
            return;
        }
        connection.send(text);
    }
}

void ping_pong(
    Table& table,
    const Settings& settings,
    const std::map<std::string, double>& python,
    const std::string& name,
    std::size_t size
) {
    auto [mine, theirs] = mp::Pipe();
    auto process = mp::get_context("fork").Process(echo, theirs);
    process.start();
    const int count = (settings.quick ? 50 : 2000) / (size > 100'000 ? 10 : 1);
    std::vector<std::byte> buffer(size);
    const double seconds = seconds_of(settings.quick ? 3 : 9, [&, &a = mine] {
        for (int i = 0; i < count; ++i) {
            a.send_bytes(buffer);
            a.recv_bytes_into(buffer);
        }
    });
    mine.send_bytes("");
    process.join();
    Row row{
        "connection: Pipe", name, Unit::microseconds, 0, {}, "CPython", std::nullopt};
    row.ours = seconds / count * 1e6;
    RawPair raw(size);
    const double limit = seconds_of(settings.quick ? 3 : 9, [&] {
        for (int i = 0; i < count; ++i) {
            raw.round_trip();
        }
    });
    row.others.emplace_back("raw socketpair", limit / count * 1e6);
    add_figure(row, "CPython", python, name);
    table.add(std::move(row));
}

void ping_pong_objects(
    Table& table, const Settings& settings, const std::map<std::string, double>& python
) {
    auto [mine, theirs] = mp::Pipe();
    auto process = mp::get_context("fork").Process(echo_objects, theirs);
    process.start();
    const int count = settings.quick ? 50 : 2000;
    const std::string text(64, 'x');
    const double seconds = seconds_of(settings.quick ? 3 : 9, [&, &a = mine] {
        for (int i = 0; i < count; ++i) {
            a.send(text);
            keep(a.recv<std::string>());
        }
    });
    mine.send("");
    process.join();
    Row row{
        "connection: Pipe",
        "object",
        Unit::microseconds,
        seconds / count * 1e6,
        {},
        "CPython",
        std::nullopt};
    add_figure(row, "CPython", python, "object");
    table.add(std::move(row));
}

// Calls, proves the key, sends one message and waits for the end.
void call(const Address& address, int count) {
    for (int i = 0; i < count; ++i) {
        mp::Connection connection = Client({.address = address, .authkey = key});
        connection.send_bytes("one message");
        try {
            connection.recv_bytes();
        } catch (const mp::EOFError&) {
        }
    }
}

void calls(
    Table& table,
    const Settings& settings,
    const std::map<std::string, double>& python,
    const std::string& name,
    Family family,
    double target
) {
    // The calling process is the child, as in rival.py.
    const int count = settings.quick ? 50 : 1000;
    Listener listener({.family = family, .authkey = key});
    const double seconds = seconds_of(settings.quick ? 2 : 7, [&] {
        auto process = mp::get_context("fork").Process(call, listener.address(), count);
        process.start();
        for (int i = 0; i < count; ++i) {
            listener.accept().recv_bytes();
        }
        process.join();
    });
    Row row{
        "connection: authenticated call + 1 message",
        name,
        Unit::per_second,
        count / seconds,
        {},
        "CPython",
        target};
    add_figure(row, "CPython", python, "call_" + name);
    table.add(std::move(row));
}

}  // namespace

void bench_connection(Table& table, const Settings& settings) {
    const auto python = python_figures(settings, "connection");
    ping_pong(table, settings, python, "64B", 64);
    ping_pong(table, settings, python, "1MB", std::size_t{1} << 20);
    ping_pong_objects(table, settings, python);
    calls(table, settings, python, "AF_UNIX", Family::unix_socket, 2.5);
    calls(table, settings, python, "TCP", Family::inet, 2.5);
}

}  // namespace bench
