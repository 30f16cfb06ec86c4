// SPDX-License-Identifier: BSL-1.0
// What happens to connections when processes die, signals rain, pieces are small and
// descriptors run out; the cases that tests of the single headers do not have.
#include "mp/mp.hpp"

#include "os/socket.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/signal_storm.hpp"
#include "support/start_methods.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <functional>
#include <future>
#include <string>
#include <vector>

using namespace mp;
using namespace std::chrono_literals;
using mp::connection::Client;
using mp::connection::Family;
using mp::connection::Listener;
using mp::connection::wait;

namespace {

using Bytes = std::vector<std::byte>;
using Ready = std::vector<std::size_t>;

template <class Call>
int error_of(Call call) {
    try {
        call();
    } catch (const std::system_error& e) {
        return e.code().value();
    }
    return 0;
}

std::string text_of(const Bytes& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// As few descriptors as there are open now, while it lives.
class NoMoreDescriptors {
public:
    NoMoreDescriptors() {
        REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
        for (int fd = ::dup(0); fd >= 0 && fd < 1000; fd = ::dup(0)) {
            held_.emplace_back(fd);
            if (held_.size() == 64) {
                break;
            }
        }
        struct rlimit now = before_;
        now.rlim_cur = static_cast<rlim_t>(held_.back().get()) + 1;
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &now) == 0);
        for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) {
            held_.emplace_back(fd);
        }
    }

    ~NoMoreDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

    NoMoreDescriptors(const NoMoreDescriptors&) = delete;
    NoMoreDescriptors& operator=(const NoMoreDescriptors&) = delete;

private:
    struct rlimit before_ {};
    std::vector<UniqueFd> held_;
};

void sleep_for_ever(Connection connection) {
    connection.recv_bytes();
}

void send_and_be_killed(Connection connection, int size) {
    connection.send(std::vector<int>(100, 1));
    connection.send(std::string(static_cast<std::size_t>(size), 'x'));
    ::raise(SIGKILL);
}

void shake_hands_and_be_killed(connection::Address address, int step) {
    // Connect; then, byte by byte, what a client says.
    Connection connection = Client({.address = address});
    const Bytes challenge = connection.recv_bytes();
    if (step == 1) {
        const std::array half{std::byte{0}, std::byte{0}};
        os::send_all(connection.fileno(), half, Deadline(forever));
    }
    ::raise(SIGKILL);
}

}  // namespace

TEST_CASE(
    "P1 P2 P3: Connection: a process killed while it sends", "[connection][process]"
) {
    const Context ctx = each_start_method();
    const int size = GENERATE(10, 3'000'000);
    auto [a, b] = Pipe();
    auto process = ctx.Process(send_and_be_killed, b, size);
    process.start();
    b.close();
    CHECK(a.recv<std::vector<int>>() == std::vector<int>(100, 1));
    if (size == 10) {
        CHECK(a.recv<std::string>() == "xxxxxxxxxx");
        process.join();
        CHECK_THROWS_AS(a.recv<std::string>(), EOFError);
    } else {
        CHECK(a.poll(30s));
        process.kill();  // it is inside: its message is larger than what fits between
        CHECK(error_of([&, &a = a] { a.recv<std::string>(); }) == ECONNRESET);
        process.join();
    }
    CHECK(error_of([&, &a = a] { a.send_bytes("anybody there?"); }) == EPIPE);
    CHECK(process.exitcode() == -SIGKILL);
}

TEST_CASE("P13 P14: Listener: clients killed in the handshake", "[listener][process]") {
    const Context ctx = each_start_method();
    Listener listener({.family = Family::unix_socket, .authkey = "key"});
    for (const int step : {0, 1}) {
        auto process = ctx.Process(shake_hands_and_be_killed, listener.address(), step);
        process.start();
        auto good = std::async(std::launch::async, [&] {
            return Client(
                {.address = listener.address(), .authkey = "key", .timeout = 30s}
            );
        });
        CHECK_FALSE(listener.accept(30s).closed());
        good.get();
        // The dead one goes when accept() next looks.
        while (process.is_alive()) {
            CHECK_THROWS_AS(listener.accept(10ms), TimeoutError);
        }
        CHECK_THROWS_AS(listener.accept(10ms), TimeoutError);
        CHECK(process.exitcode() == -SIGKILL);
    }
}

TEST_CASE("P4: accept, Client, poll and wait among signals", "[connection]") {
    const test::SignalStorm storm;
    Listener listener({.family = Family::inet, .authkey = "key"});
    auto client = std::async(std::launch::async, [&] {
        const test::SignalStorm another;
        Connection connection =
            Client({.address = listener.address(), .authkey = "key"});
        for (int i = 0; i < 20; ++i) {
            connection.send(std::string(200'000, 'x'));
        }
        return connection;
    });
    Connection accepted = listener.accept();
    for (int i = 0; i < 20; ++i) {
        CHECK(accepted.poll(30s));
        CHECK(accepted.recv<std::string>().size() == 200'000);
    }
    const auto start = std::chrono::steady_clock::now();
    while (storm.count() == 0) {
        CHECK(wait({accepted, listener}, 10ms).empty());
    }
    CHECK(wait({accepted, listener}, 60ms).empty());
    CHECK_FALSE(accepted.poll(60ms));
    const auto took = std::chrono::steady_clock::now() - start;
    CHECK(took >= 120ms);
    CHECK(took < 10s);
    client.get();
}

TEST_CASE("P5: Connection: whatever the pieces, messages are whole", "[connection]") {
    // Small buffers and a reader of single bytes: all writes and reads are short.
    auto [a, wire] = os::make_socketpair(os::SocketKind::stream);
    const int little = 1;
    REQUIRE(::setsockopt(a.get(), SOL_SOCKET, SO_SNDBUF, &little, sizeof little) == 0);
    Connection sender(std::move(a));
    auto [b, other_wire] = os::make_socketpair(os::SocketKind::stream);
    Connection receiver(std::move(b));
    const auto pass_on = [](const UniqueFd& from, UniqueFd& to) {
        std::array<std::byte, 7> piece{};
        for (std::size_t size = 1;; size = size % piece.size() + 1) {
            const std::size_t n = os::receive_some(
                from.get(), std::span(piece).first(size), Deadline(forever)
            );
            if (n == 0) {
                to.reset();
                return;
            }
            os::send_all(to.get(), std::span(piece).first(n), Deadline(forever));
        }
    };
    auto relay =
        std::async(std::launch::async, pass_on, std::cref(wire), std::ref(other_wire));
    auto sending = std::async(std::launch::async, [&] {
        for (std::size_t size : {0U, 1U, 3U, 4U, 5U, 4095U, 4097U, 70'000U}) {
            sender.send_bytes(std::string(size, 's'));
            sender.send(std::string(size, 'o'));
        }
        sender.close();
    });
    for (std::size_t size : {0U, 1U, 3U, 4U, 5U, 4095U, 4097U, 70'000U}) {
        CHECK(text_of(receiver.recv_bytes()) == std::string(size, 's'));
        CHECK(receiver.recv<std::string>() == std::string(size, 'o'));
    }
    CHECK_THROWS_AS(receiver.recv_bytes(), EOFError);
    sending.get();
    relay.get();
}

TEST_CASE("P8: DupFd: 0 to 254 descriptors and more in one message", "[dup_fd]") {
    const std::size_t count = GENERATE(0U, 1U, 63U, 64U, 65U, 252U, 253U, 254U, 300U);
    auto [a, b] = Pipe();
    const UniqueFd event(::eventfd(0, EFD_CLOEXEC));
    const DupFd one(event.get());
    a.send(std::vector<DupFd>(count, one));
    auto received = b.recv<std::vector<DupFd>>();
    REQUIRE(received.size() == count);
    for (const DupFd& dup : received) {
        const std::uint64_t once = 1;
        REQUIRE(::write(dup.fileno(), &once, sizeof once) == sizeof once);
    }
    if (count > 0) {
        std::uint64_t sum = 0;
        REQUIRE(::read(event.get(), &sum, sizeof sum) == sizeof sum);
        CHECK(sum == count);
    }
}

TEST_CASE("P9: descriptors above 1024 do everything", "[connection]") {
    struct rlimit limit {};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
    if (limit.rlim_cur <= 1100) {
        WARN("not tested: too few descriptors are allowed here");
        return;
    }
    const auto high = [](int fd) {
        const UniqueFd low(fd);
        UniqueFd there(::fcntl(fd, F_DUPFD_CLOEXEC, 1050));
        REQUIRE(there.get() >= 1050);
        return there;
    };
    auto [first, second] = os::make_socketpair(os::SocketKind::stream);
    Connection a(high(first.release()));
    Connection b(high(second.release()));
    CHECK(wait({a, b}, 0s).empty());
    a.send(DupFd(high(::eventfd(1, EFD_CLOEXEC))));
    CHECK(wait({a, b}, 30s) == Ready{1});
    CHECK(b.poll());
    CHECK(b.recv<DupFd>().fileno() >= 0);
    send_handle(b, a.fileno());
    CHECK(recv_handle(a).get() >= 0);
}

TEST_CASE(
    "P11: Connection: no descriptor numbers left for those that come", "[connection]"
) {
    auto [a, b] = Pipe();
    const UniqueFd event(::eventfd(0, EFD_CLOEXEC));
    a.send(std::vector<DupFd>(20, DupFd(event.get())));
    a.send(5);
    {
        const NoMoreDescriptors none;
        CHECK(error_of([&, &b = b] { b.recv<std::vector<DupFd>>(); }) == EMFILE);
    }
    // It can only send now: what comes next on the wire is no start of a message.
    CHECK_FALSE(b.readable());
    b.send(6);
    CHECK(a.recv<int>() == 6);
}

TEST_CASE("P12: what is on its way goes with the receiver", "[dup_fd]") {
    auto [a, b] = Pipe();
    auto [reader, writer] = Pipe(Duplex::no);
    const pid_t child = test::fork_child([&, &a = a, &writer = writer] {
        a.close();
        writer.close();
        ::pause();
        return 0;
    });
    b.close();
    a.send(std::vector<Connection>(10, writer));
    writer.close();
    CHECK_FALSE(reader.poll(20ms));  // they hold it open
    ::kill(child, SIGKILL);
    CHECK(test::exit_status(child) == -SIGKILL);
    CHECK(reader.poll(30s));
    CHECK_THROWS_AS(reader.recv_bytes(), EOFError);
}

TEST_CASE("P18: Listener: many clients one after the other", "[listener]") {
    const Family family = GENERATE(Family::unix_socket, Family::inet);
    Listener listener({.family = family});
    int last = -1;
    for (int i = 0; i < 300; ++i) {
        Connection client = Client({.address = listener.address()});
        Connection accepted = listener.accept(30s);
        client.send(i);
        REQUIRE(accepted.recv<int>() == i);
        CHECK((last == -1 || accepted.fileno() == last));
        last = accepted.fileno();
    }
}

TEST_CASE(
    "P20: Connection: both sides send first: a thread on one side is enough",
    "[connection]"
) {
    const std::string large(10'000'000, 'x');
    auto [a, b] = Pipe();
    const pid_t child = test::fork_child([&, &a = a, &b = b]() mutable {
        a.close();
        b.send_bytes(large);
        return b.recv_bytes().size() == large.size() ? 0 : 1;
    });
    b.close();
    auto sending = std::async(std::launch::async, [&, &a = a] { a.send_bytes(large); });
    CHECK(a.recv_bytes().size() == large.size());
    sending.get();
    CHECK(test::exit_status(child) == 0);
}

TEST_CASE("wait: hundreds of things of every kind", "[wait][process]") {
    const Context ctx = each_start_method();
    // First: a forked child would hold the ends of pipes open.
    auto [a, b] = Pipe();
    auto process = ctx.Process(sleep_for_ever, b);
    process.start();
    constexpr std::size_t pipes = 250;
    std::vector<Connection> readers;
    std::vector<Connection> writers;
    for (std::size_t i = 0; i < pipes; ++i) {
        auto [reader, writer] = Pipe(Duplex::no);
        readers.push_back(reader);
        writers.push_back(writer);
    }
    Listener listener({.family = Family::unix_socket});
    const UniqueFd event(::eventfd(0, EFD_CLOEXEC));
    std::vector<connection::Waitable> all(readers.begin(), readers.end());
    all.emplace_back(listener);
    all.emplace_back(event.get());
    all.emplace_back(process);
    CHECK(wait(all, 0s).empty());
    writers[7].send(1);
    writers[249].close();
    CHECK(wait(all, 30s) == Ready{7, 249});
    readers[7].recv<int>();
    all[249] = readers[0];
    const Connection client = Client({.address = listener.address()});
    CHECK(wait(all, 30s) == Ready{pipes});
    listener.accept(30s);
    const std::uint64_t once = 1;
    REQUIRE(::write(event.get(), &once, sizeof once) == sizeof once);
    CHECK(wait(all, 30s) == Ready{pipes + 1});
    all.erase(all.end() - 2);
    a.send_bytes("");
    CHECK(wait(all, 30s) == Ready{pipes + 1});
    process.join();
}
