// SPDX-License-Identifier: BSL-1.0
#include "mp/connection.hpp"
#include "mp/errors.hpp"

#include "os/pipe.hpp"
#include "os/socket.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/python.hpp"
#include "support/signal_storm.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <future>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace mp;
using namespace std::chrono_literals;

namespace {

using Bytes = std::vector<std::byte>;

const Deadline never(forever);

Bytes pattern(std::size_t size) {
    Bytes bytes(size);
    auto x = static_cast<std::uint32_t>(size) + 1;
    for (std::byte& b : bytes) {
        x = x * 1664525U + 1013904223U;
        b = static_cast<std::byte>(x >> 24U);
    }
    return bytes;
}

Bytes bytes_of(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
    return {bytes.begin(), bytes.end()};
}

template <class Call>
int error_of(Call call) {
    try {
        call();
    } catch (const std::system_error& e) {
        return e.code().value();
    }
    return 0;
}

// Echoes until the other end is gone.
int echo(Connection connection) {
    try {
        for (;;) {
            connection.send_bytes(connection.recv_bytes());
        }
    } catch (const EOFError&) {
        return 0;
    }
}

// A connection whose other end is the bare descriptor: the wire itself.
std::pair<Connection, UniqueFd> connection_and_wire() {
    auto [a, b] = os::make_socketpair(os::SocketKind::stream);
    return {Connection(std::move(a)), std::move(b)};
}

const std::vector<std::size_t> sizes{
    0, 1, 4095, 4096, 4097, 16383, 16384, 16385, 65535, 65536, 65537, 200000, 3000000};

}  // namespace

TEST_CASE(
    "_TestConnection.test_connection: an echo process over a duplex pipe",
    "[connection]"
) {
    auto [a, b] = mp::Pipe();
    const pid_t child = test::fork_child([a = a, b = b]() mutable {
        a.close();
        return echo(b);
    });
    b.close();
    CHECK(a.readable());
    CHECK(a.writable());
    CHECK_FALSE(a.poll());
    CHECK_FALSE(a.poll(-1s));
    CHECK_FALSE(a.poll(10ms));

    a.send_bytes("a latin-1 string");
    CHECK(a.recv_bytes() == bytes_of("a latin-1 string"));

    Bytes buffer(20, std::byte{0});
    a.send_bytes("hello");
    CHECK(a.recv_bytes_into(buffer) == 5);
    Bytes expected = bytes_of("hello");
    expected.resize(20);
    CHECK(buffer == expected);
    a.send_bytes("hello");
    CHECK(a.recv_bytes_into(buffer, 3) == 5);
    CHECK(std::equal(buffer.begin() + 3, buffer.begin() + 8, bytes_of("hello").begin())
    );

    const Bytes too_long = pattern(100);
    a.send_bytes(too_long);
    try {
        a.recv_bytes_into(buffer);
        FAIL("expected BufferTooShort");
    } catch (const BufferTooShort& e) {
        CHECK(e.message == too_long);
    }

    a.send_bytes("x");
    CHECK(a.poll(forever));
    CHECK(a.poll());
    CHECK(a.recv_bytes() == bytes_of("x"));

    const Bytes huge = pattern(16 << 20);
    a.send_bytes(huge);
    CHECK(a.recv_bytes() == huge);
    a.close();
    CHECK(test::exit_status(child) == 0);
}

TEST_CASE("_TestConnection.test_connection: the end of the stream", "[connection]") {
    auto [a, b] = mp::Pipe();
    b.send_bytes("last");
    b.close();
    CHECK(a.poll());
    CHECK(a.recv_bytes() == bytes_of("last"));
    CHECK(a.poll());
    CHECK_THROWS_AS(a.recv_bytes(), EOFError);
    Bytes buffer(10);
    CHECK_THROWS_AS(a.recv_bytes_into(buffer), EOFError);
    CHECK_THROWS_AS(a.recv_bytes(), EOFError);
}

TEST_CASE("P6: Connection: messages of every size arrive whole", "[connection]") {
    const Duplex duplex = GENERATE(Duplex::yes, Duplex::no);
    auto [reader, writer] = mp::Pipe(duplex);
    std::thread sending([writer = writer]() mutable {
        for (const std::size_t size : sizes) {
            writer.send_bytes(pattern(size));
        }
    });
    for (const std::size_t size : sizes) {
        CHECK(reader.recv_bytes() == pattern(size));
    }
    sending.join();
}

TEST_CASE("Connection: what is on the wire", "[connection]") {
    auto [connection, wire] = connection_and_wire();
    connection.send_bytes("ab");
    connection.send_bytes("");
    Bytes got(10);
    os::receive_exactly(wire.get(), got, never);
    CHECK(got == bytes_of(std::string_view("\0\0\0\2ab\0\0\0\0", 10)));
    connection.send_bytes(pattern(0x012345));
    got.resize(4);
    os::receive_exactly(wire.get(), got, never);
    CHECK(got == bytes_of(std::string_view("\0\x01\x23\x45", 4)));

    // The long form of a length, which CPython uses from 2 GiB on.
    auto [reader, other] = connection_and_wire();
    os::send_all(
        other.get(),
        bytes_of(std::string_view("\xff\xff\xff\xff\0\0\0\0\0\0\0\3abc", 15)),
        never
    );
    CHECK(reader.recv_bytes() == bytes_of("abc"));
}

TEST_CASE(
    "Connection: a nonsense length is refused, and ends receiving", "[connection]"
) {
    const auto head = GENERATE(
        std::string_view("\xff\xff\xff\xfe", 4),
        std::string_view("\x80\0\0\0", 4),
        std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12)
    );
    auto [connection, wire] = connection_and_wire();
    os::send_all(wire.get(), bytes_of(head), never);
    CHECK(error_of([&, &c = connection] { c.recv_bytes(); }) == EBADMSG);
    CHECK_FALSE(connection.readable());
    CHECK(connection.writable());
}

TEST_CASE("Connection: a promised length takes no memory", "[connection]") {
    auto [connection, wire] = connection_and_wire();
    os::send_all(
        wire.get(),
        bytes_of(std::string_view("\xff\xff\xff\xff\0\x10\0\0\0\0\0\0abc", 15)),
        never
    );
    wire.reset();
    CHECK(error_of([&, &c = connection] { c.recv_bytes(); }) == ECONNRESET);
}

TEST_CASE(
    "P3: Connection: a message that is cut off is an error, wherever it is cut",
    "[connection]"
) {
    const std::string_view message("\0\0\0\5hello", 9);
    const std::size_t cut = GENERATE(1U, 3U, 4U, 5U, 8U);
    auto [connection, wire] = connection_and_wire();
    os::send_all(wire.get(), bytes_of(message.substr(0, cut)), never);
    wire.reset();
    CHECK(connection.poll());
    CHECK(error_of([&, &c = connection] { c.recv_bytes(); }) == ECONNRESET);
}

TEST_CASE(
    "P3: Connection: the sender is killed in the middle of a message", "[connection]"
) {
    const Duplex duplex = GENERATE(Duplex::yes, Duplex::no);
    auto [reader, writer] = mp::Pipe(duplex);
    const pid_t child = test::fork_child([reader = reader, writer = writer]() mutable {
        reader.close();
        writer.send_bytes(pattern(50'000'000));  // far more than fits in between
        return 0;
    });
    writer.close();
    CHECK(reader.poll(forever));
    ::kill(child, SIGKILL);
    CHECK(test::exit_status(child) == -SIGKILL);
    CHECK(error_of([&, &r = reader] { r.recv_bytes(); }) == ECONNRESET);
}

TEST_CASE(
    "P1: Connection: sending to a dead process is EPIPE, never SIGPIPE", "[connection]"
) {
    const Duplex duplex = GENERATE(Duplex::yes, Duplex::no);
    const std::size_t size = GENERATE(1U, 16384U, 1'000'000U);
    auto [reader, writer] = mp::Pipe(duplex);
    const pid_t child = test::fork_child([] {
        ::pause();
        return 0;
    });
    reader.close();
    ::kill(child, SIGKILL);
    CHECK(test::exit_status(child) == -SIGKILL);
    CHECK(error_of([&, &w = writer] { w.send_bytes(pattern(size)); }) == EPIPE);
}

TEST_CASE(
    "P2: Connection: what a dead process had sent comes first, then the end",
    "[connection]"
) {
    auto [a, b] = mp::Pipe();
    a.send_bytes("never read");
    const pid_t child = test::fork_child([b = b]() mutable {
        b.send_bytes("one");
        b.send_bytes("two");
        ::raise(SIGKILL);
        return 0;
    });
    b.close();
    CHECK(test::exit_status(child) == -SIGKILL);
    CHECK(a.recv_bytes() == bytes_of("one"));
    CHECK(a.recv_bytes() == bytes_of("two"));
    CHECK_THROWS_AS(a.recv_bytes(), EOFError);
}

TEST_CASE(
    "_TestConnection.test_duplex_false: one end receives, the other sends",
    "[connection]"
) {
    auto [reader, writer] = mp::Pipe({.duplex = false});
    writer.send_bytes("abc");
    CHECK(reader.recv_bytes() == bytes_of("abc"));
    CHECK(reader.readable());
    CHECK_FALSE(reader.writable());
    CHECK_FALSE(writer.readable());
    CHECK(writer.writable());
    CHECK(error_of([&, &r = reader] { r.send_bytes("x"); }) == EBADF);
    CHECK(error_of([&, &w = writer] { w.recv_bytes(); }) == EBADF);
    CHECK(error_of([&, &w = writer] { w.poll(); }) == EBADF);
}

TEST_CASE("_TestConnection.test_sendbytes: slices", "[connection]") {
    auto [a, b] = mp::Pipe();
    const Bytes letters = bytes_of("abcdefghijklmnopqrstuvwxyz");
    const auto sent = [&, &a = a, &b = b](auto... slice) {
        a.send_bytes(letters, slice...);
        return b.recv_bytes();
    };
    CHECK(sent() == letters);
    CHECK(sent(5U) == Bytes(letters.begin() + 5, letters.end()));
    CHECK(sent(7U, 8U) == Bytes(letters.begin() + 7, letters.begin() + 15));
    CHECK(sent(0U, 0U).empty());
    CHECK(sent(26U).empty());
    CHECK(sent(26U, 0U).empty());
    for (const auto& [offset, size] : std::vector<std::pair<std::size_t, std::size_t>>{
             {27, 0},
             {22, 5},
             {26, 1},
             {static_cast<std::size_t>(-1), 0},
             {4, static_cast<std::size_t>(-1)}}) {
        CHECK_THROWS_AS(a.send_bytes(letters, offset, size), std::invalid_argument);
    }
    CHECK_FALSE(b.poll());
}

TEST_CASE(
    "Connection: recv_bytes(maxlength) refuses a longer message and all after it",
    "[connection]"
) {
    auto [a, b] = mp::Pipe();
    a.send_bytes("12345");
    CHECK(b.recv_bytes(5).size() == 5);
    a.send_bytes("123456");
    CHECK(error_of([&, &b = b] { b.recv_bytes(5); }) == EMSGSIZE);
    CHECK_FALSE(b.readable());
    CHECK(error_of([&, &b = b] { b.recv_bytes(); }) == EBADF);
    b.send_bytes("still possible");
    CHECK(a.recv_bytes() == bytes_of("still possible"));

    auto [reader, writer] = mp::Pipe(Duplex::no);
    writer.send_bytes("1");
    CHECK(error_of([&, &r = reader] { r.recv_bytes(0); }) == EMSGSIZE);
    CHECK(reader.closed());
}

TEST_CASE(
    "Connection: recv_bytes_into with a bad offset takes nothing", "[connection]"
) {
    auto [a, b] = mp::Pipe();
    Bytes buffer(4);
    a.send_bytes("1");
    CHECK_THROWS_AS(b.recv_bytes_into(buffer, 5), std::invalid_argument);
    CHECK(b.recv_bytes_into(buffer, 3) == 1);
    a.send_bytes("");
    CHECK(b.recv_bytes_into(buffer, 4) == 0);
}

TEST_CASE(
    "_TestConnection.test_context: a closed connection refuses everything",
    "[connection]"
) {
    auto [a, b] = mp::Pipe();
    const Connection copy = a;
    const int fd = a.fileno();
    CHECK(fd >= 0);
    CHECK_FALSE(a.closed());
    a.close();
    a.close();
    CHECK(a.closed());
    CHECK(copy.closed());
    CHECK(::fcntl(fd, F_GETFD) == -1);
    Bytes buffer(1);
    CHECK(error_of([&, &a = a] { a.fileno(); }) == EBADF);
    CHECK(error_of([&, &a = a] { a.poll(); }) == EBADF);
    CHECK(error_of([&, &a = a] { a.recv_bytes(); }) == EBADF);
    CHECK(error_of([&, &a = a] { a.recv_bytes_into(buffer); }) == EBADF);
    CHECK(error_of([&, &a = a] { a.send_bytes("x"); }) == EBADF);
    CHECK_THROWS_AS(b.recv_bytes(), EOFError);
    CHECK(Connection().closed());
    CHECK(error_of([] { Connection().recv_bytes(); }) == EBADF);
}

TEST_CASE("Connection: the descriptor goes with the last copy", "[connection]") {
    auto [a, b] = mp::Pipe();
    {
        const Connection copy = a;
        a = Connection();
        b.send_bytes("x");
        CHECK_FALSE(b.poll());
    }
    CHECK(b.poll());
}

TEST_CASE(
    "Connection: close() while another thread receives waits for that message",
    "[connection]"
) {
    auto [a, b] = mp::Pipe();
    const int fd = a.fileno();
    std::promise<void> started;
    auto received = std::async(std::launch::async, [a = a, &started]() mutable {
        started.set_value();
        return a.recv_bytes();
    });
    started.get_future().wait();
    b.send_bytes("part");
    a.close();
    // Either the receiver was inside before the close and gets its message, or it is
    // told.
    Bytes message = bytes_of("part");
    const int error = error_of([&] { message = received.get(); });
    CHECK((error == 0 || error == EBADF));
    CHECK(message == bytes_of("part"));
    CHECK(::fcntl(fd, F_GETFD) == -1);
}

TEST_CASE(
    "Connection: a child closes its copy although the parent was receiving",
    "[connection]"
) {
    auto [a, b] = mp::Pipe();
    auto receiving =
        std::async(std::launch::async, [a = a]() mutable { return a.recv_bytes(); });
    // Fork when the other thread is surely inside: a message taken proves nothing, so
    // both orders are tried many times.
    int failed = 0;
    for (int i = 0; i < 20; ++i) {
        failed += test::run_in_fork([a = a]() mutable {
            const int fd = a.fileno();
            a.close();
            return ::fcntl(fd, F_GETFD) == -1 ? 0 : 1;
        });
    }
    b.send_bytes("done");
    CHECK(receiving.get() == bytes_of("done"));
    CHECK(failed == 0);
}

TEST_CASE(
    "TestInvalidHandle.test_invalid_handles: nonsense descriptors", "[connection]"
) {
    CHECK_THROWS_AS(Connection(UniqueFd()), std::invalid_argument);
    CHECK_THROWS_AS(Connection(UniqueFd(-1)), std::invalid_argument);
    Connection nonsense(UniqueFd(44977608));
    CHECK(error_of([&] { nonsense.poll(); }) == EBADF);
    CHECK(error_of([&] { nonsense.recv_bytes(); }) == EBADF);
    CHECK(error_of([&] { nonsense.send_bytes("x"); }) == EBADF);
}

TEST_CASE(
    "TestIgnoreEINTR.test_ignore: signals do not break blocked calls", "[connection]"
) {
    auto [a, b] = mp::Pipe();
    std::thread other([b = b]() mutable {
        const test::SignalStorm storm;
        for (int i = 0; i < 3; ++i) {
            b.send_bytes(b.recv_bytes());
        }
    });
    const test::SignalStorm storm;
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{1}, std::size_t{5'000'000}}) {
        a.send_bytes(pattern(size));
        CHECK_FALSE((size == 0 && a.recv_bytes() != Bytes()));
        if (size != 0) {
            CHECK(a.recv_bytes() == pattern(size));
        }
    }
    other.join();
    CHECK_FALSE(a.poll(50ms));
    CHECK(storm.count() > 0);
}

TEST_CASE("_TestPoll.test_empty_string: an empty message can be seen", "[connection]") {
    auto [a, b] = mp::Pipe();
    CHECK_FALSE(a.poll());
    b.send_bytes("");
    CHECK(a.poll());
    CHECK(a.poll());
    CHECK(a.recv_bytes().empty());
}

TEST_CASE(
    "_TestPoll.test_strings: polling neither loses nor merges messages", "[connection]"
) {
    const std::vector<std::string> texts{"hello", "", "a", "b", "", "bye", "", "lop"};
    auto [a, b] = mp::Pipe();
    const pid_t child = test::fork_child([b = b, &texts]() mutable {
        for (const std::string& text : texts) {
            b.send_bytes(text);
        }
        return 0;
    });
    for (const std::string& text : texts) {
        while (!a.poll(10ms)) {
        }
        CHECK(a.recv_bytes() == bytes_of(text));
    }
    CHECK(test::exit_status(child) == 0);
}

TEST_CASE(
    "_TestPoll.test_boundaries: a poller in another process takes nothing",
    "[connection]"
) {
    auto [reader, writer] = mp::Pipe(Duplex::no);
    const pid_t child = test::fork_child([reader = reader]() mutable {
        return reader.poll(5s) ? 0 : 1;
    });
    writer.send_bytes("first");
    CHECK(test::exit_status(child) == 0);
    writer.send_bytes("second");
    CHECK(reader.recv_bytes() == bytes_of("first"));
    CHECK(reader.recv_bytes() == bytes_of("second"));
}

TEST_CASE("_TestPoll.test_dont_merge: messages stay apart", "[connection]") {
    auto [a, b] = mp::Pipe();
    CHECK_FALSE(a.poll());
    CHECK_FALSE(a.poll(100ms));
    for (const char* text : {"a", "b", "cd"}) {
        b.send_bytes(std::string_view(text));
    }
    for (const char* text : {"a", "b", "cd"}) {
        CHECK(a.poll());
        CHECK(a.recv_bytes() == bytes_of(text));
    }
    CHECK_FALSE(a.poll());
}

TEST_CASE(
    "TestTimeouts.test_timeout: a receive timeout of the socket does not matter",
    "[connection]"
) {
    auto [a, b] = os::make_socketpair(os::SocketKind::stream);
    const timeval soon{.tv_sec = 0, .tv_usec = 10'000};
    REQUIRE(::setsockopt(a.get(), SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon) == 0);
    Connection left(std::move(a));
    Connection right(std::move(b));
    auto received = std::async(std::launch::async, [&] { return left.recv_bytes(); });
    CHECK(received.wait_for(50ms) == std::future_status::timeout);
    right.send_bytes("late");
    CHECK(received.get() == bytes_of("late"));
}

TEST_CASE(
    "_TestConnection.test_spawn_close: the parent closes its copy of the child's end",
    "[connection]"
) {
    auto [a, b] = mp::Pipe();
    const pid_t child = test::fork_child([a = a, b = b]() mutable {
        a.close();
        return echo(b);
    });
    b.close();
    a.send_bytes("hello");
    CHECK(a.recv_bytes() == bytes_of("hello"));
    a.close();
    CHECK(test::exit_status(child) == 0);
}

TEST_CASE("P7: Connection: small messages of many writers do not mix", "[connection]") {
    auto [reader, writer] = mp::Pipe(Duplex::no);
    constexpr int writers = 4;
    constexpr int each = 500;
    std::vector<pid_t> children;
    for (int w = 0; w < writers; ++w) {
        children.push_back(test::fork_child([reader = reader, writer = writer, w](
                                            ) mutable {
            reader.close();
            for (int i = 0; i < each; ++i) {
                writer.send_bytes(std::string(1000, static_cast<char>('a' + w)));
            }
            return 0;
        }));
    }
    writer.close();
    int wrong = 0;
    int received = 0;
    try {
        for (;; ++received) {
            const Bytes message = reader.recv_bytes();
            wrong += message != Bytes(1000, message.front()) ? 1 : 0;
        }
    } catch (const EOFError&) {
    }
    CHECK(received == writers * each);
    CHECK(wrong == 0);
    for (const pid_t child : children) {
        CHECK(test::exit_status(child) == 0);
    }
}

TEST_CASE("Connection: CPython speaks the same framing", "[connection][python]") {
    const std::string script = R"(
import sys
from multiprocessing.connection import Connection
c = Connection(int(sys.argv[1]))
try:
    while True:
        c.send_bytes(c.recv_bytes())
except EOFError:
    pass
)";
    int spoken_with = 0;
    for (const std::string& program : test::pythons()) {
        INFO(program);
        auto [ours, theirs] = os::make_socketpair(os::SocketKind::stream);
        Connection connection(std::move(ours));
        const pid_t child = test::run_python(program, script, theirs.get());
        theirs.reset();
        try {
            for (const std::size_t size : sizes) {
                connection.send_bytes(pattern(size));
                CHECK(connection.recv_bytes() == pattern(size));
            }
            connection.close();
            CHECK(test::exit_status(child) == 0);
            ++spoken_with;
        } catch (const std::exception& e) {
            connection.close();
            const int status = test::exit_status(child);
            if (status != 127) {
                FAIL(program << ": " << e.what() << ", exit status " << status);
            }
            WARN("not tested, because it is not there: " << program);
        }
    }
    if (spoken_with == 0) {
        WARN("no python3 on this machine: the framing is tested against itself only");
    }
}

namespace {

struct Point {
    int x = 0;
    double y = 0;
    std::string label;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& x& y& label;
    }

    friend bool operator==(const Point&, const Point&) = default;
};

struct Refusing {
    template <class Archive>
    void serialize(Archive&, unsigned) {
        throw std::runtime_error("refused by the test");
    }
};

std::size_t open_fds() {
    const std::filesystem::directory_iterator entries("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

}  // namespace

TEST_CASE(
    "_TestConnection.test_connection: objects of many types", "[connection][object]"
) {
    auto [a, b] = mp::Pipe();
    const std::vector<Point> points{{1, 2.5, "one"}, {-3, 0, ""}};
    a.send(1.75);
    a.send(points);
    a.send("text");
    a.send(std::string_view("view"));
    a.send(std::vector<double>(5000, 0.5));
    a.send(std::map<std::string, std::optional<int>>{{"a", 1}, {"b", std::nullopt}});
    CHECK(b.recv<double>() == 1.75);
    CHECK(b.recv<std::vector<Point>>() == points);
    CHECK(b.recv<std::string>() == "text");
    CHECK(b.recv<std::string>() == "view");
    CHECK(b.recv<std::vector<double>>() == std::vector<double>(5000, 0.5));
    CHECK(b.recv<std::map<std::string, std::optional<int>>>().at("a") == 1);
    CHECK_FALSE(b.poll());
    a.close();
    CHECK_THROWS_AS(b.recv<int>(), EOFError);
}

TEST_CASE(
    "Connection: the wrong type is an error of that message only",
    "[connection][object]"
) {
    auto [a, b] = mp::Pipe();
    a.send(1);
    a.send_bytes("no object");
    a.send_bytes("");
    a.send(std::vector<int>{1, 2, 3});
    a.send(7L);
    CHECK_THROWS_AS(b.recv<unsigned>(), SerializationError);
    CHECK_THROWS_AS(b.recv<int>(), SerializationError);
    CHECK_THROWS_AS(b.recv<int>(), SerializationError);
    CHECK_THROWS_AS(b.recv<std::vector<unsigned>>(), SerializationError);
    CHECK(b.recv<long>() == 7);
}

TEST_CASE(
    "Connection: an object that is damaged on the way is an error of that message",
    "[connection][object]"
) {
    auto [a, wire] = connection_and_wire();
    auto [b, other_wire] = connection_and_wire();
    a.send(std::vector<std::string>{"one", "two"});
    Bytes frame(4);
    os::receive_exactly(wire.get(), frame, never);
    Bytes payload(static_cast<std::size_t>(frame[3]));
    os::receive_exactly(wire.get(), payload, never);
    Connection damaged(std::move(other_wire));
    for (std::size_t size = 0; size < payload.size(); ++size) {
        damaged.send_bytes(payload, 0, size);
        CHECK_THROWS_AS(b.recv<std::vector<std::string>>(), SerializationError);
    }
    Bytes longer = payload;
    longer.push_back(std::byte{0});
    damaged.send_bytes(longer);
    CHECK_THROWS_AS(b.recv<std::vector<std::string>>(), SerializationError);
    damaged.send_bytes(payload);
    CHECK(b.recv<std::vector<std::string>>().size() == 2);
}

TEST_CASE(
    "Connection: an object that refuses to be sent sends nothing",
    "[connection][object]"
) {
    auto [a, b] = mp::Pipe();
    CHECK_THROWS(a.send(Refusing()));
    CHECK_FALSE(b.poll());
    a.send(1);
    CHECK(b.recv<int>() == 1);
}

TEST_CASE(
    "_TestPicklingConnections.test_pickling: connections travel in messages",
    "[connection][object]"
) {
    auto [a, b] = mp::Pipe();
    const pid_t child = test::fork_child([a = a, b = b]() mutable {
        a.close();
        auto [kept, sent] = mp::Pipe();
        b.send(std::map<std::string, Connection>{{"sent", sent}});
        sent.close();
        return echo(kept);
    });
    b.close();
    {
        auto received = a.recv<std::map<std::string, Connection>>();
        Connection& there = received.at("sent");
        CHECK((::fcntl(there.fileno(), F_GETFD) & FD_CLOEXEC) != 0);
        there.send_bytes("hello");
        CHECK(there.recv_bytes() == bytes_of("hello"));
    }
    CHECK(test::exit_status(child) == 0);
}

TEST_CASE(
    "_TestPicklingConnections.test_access: a sent end keeps its direction",
    "[connection][object]"
) {
    auto [a, b] = mp::Pipe();
    const pid_t child = test::fork_child([a = a, b = b]() mutable {
        a.close();
        auto writer = b.recv<Connection>();
        writer.send_bytes("written by the child");
        writer.close();
        auto reader = b.recv<Connection>();
        return writer.closed() && reader.readable() && !reader.writable() &&
                       reader.recv_bytes() == bytes_of("for the child")
                   ? 0
                   : 1;
    });
    b.close();
    {
        auto [reader, writer] = mp::Pipe(Duplex::no);
        a.send(writer);
        writer.close();
        CHECK(reader.recv_bytes() == bytes_of("written by the child"));
        CHECK_THROWS_AS(reader.recv_bytes(), EOFError);
    }
    auto [reader, writer] = mp::Pipe(Duplex::no);
    a.send(reader);
    reader.close();
    writer.send_bytes("for the child");
    CHECK(test::exit_status(child) == 0);
}

TEST_CASE(
    "P8: Connection: many connections in one message, none left behind",
    "[connection][object]"
) {
    auto [a, b] = mp::Pipe();
    const std::size_t before = open_fds();
    {
        auto [x, y] = mp::Pipe();
        const std::vector<Connection> many(300, x);
        std::thread sending([&, a = a]() mutable { a.send(many); });
        auto received = b.recv<std::vector<Connection>>();
        sending.join();
        REQUIRE(received.size() == 300);
        received.back().send_bytes("x");
        CHECK(y.recv_bytes() == bytes_of("x"));
    }
    CHECK(open_fds() == before);
}

TEST_CASE(
    "Connection: descriptors that nobody takes are closed", "[connection][object]"
) {
    auto [a, b] = mp::Pipe();
    const std::size_t before = open_fds();
    {
        const Connection sent = mp::Pipe().first;
        a.send(sent);
        CHECK_THROWS_AS(b.recv<int>(), SerializationError);
        a.send(sent);
        b.recv_bytes();
        a.send(sent);
    }
    a.close();
    b = Connection();
    CHECK(open_fds() == before - 2);
}

TEST_CASE(
    "P10: Connection: a message whose descriptors are missing is an error",
    "[connection][object]"
) {
    auto [a, b] = mp::Pipe();
    auto [c, d] = mp::Pipe();
    a.send(c);
    const Bytes message = b.recv_bytes();  // the descriptor is dropped here
    a.send_bytes(message);
    CHECK_THROWS_AS(b.recv<Connection>(), SerializationError);
    a.send(5);
    CHECK(b.recv<int>() == 5);
}

TEST_CASE("Connection: what cannot carry descriptors says so", "[connection][object]") {
    auto [reader, writer] = mp::Pipe(Duplex::no);
    auto [a, b] = mp::Pipe();
    CHECK_THROWS_AS(writer.send(a), StateError);
    CHECK_FALSE(reader.poll());
    CHECK_THROWS_AS(dumps(a), StateError);
    a.close();
    CHECK_THROWS_AS(b.send(a), std::system_error);
    CHECK_THROWS_AS(b.send(Connection()), std::system_error);
}
