// SPDX-License-Identifier: BSL-1.0
// What happens to descriptors on their way: however many, with high numbers, without
// free ones, missing ones, and with a receiver that dies.
#include "mp/mp.hpp"

#include "os/socket.hpp"
#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "support/fork_child.hpp"
#include "support/proc.hpp"
#include "support/text_of.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

using namespace mp;
using namespace std::chrono_literals;
using mp::connection::wait;
using test::bytes_of;
using test::error_of;

namespace {

using Bytes = std::vector<std::byte>;
using Ready = std::vector<std::size_t>;

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

}  // namespace

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

TEST_CASE(
    "P8: Connection: many connections in one message, none left behind",
    "[connection][object]"
) {
    auto [a, b] = mp::Pipe();
    const int before = test::open_descriptors();
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
    CHECK(test::open_descriptors() == before);
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

TEST_CASE(
    "P11: Connection: no descriptor numbers left for those that come", "[connection]"
) {
    auto [a, b] = Pipe();
    const UniqueFd event(::eventfd(0, EFD_CLOEXEC));
    a.send(std::vector<DupFd>(20, DupFd(event.get())));
    a.send(5);
    // UBSan wants a descriptor the first time that it looks at an exception of a type.
    REQUIRE(error_of([] {
                throw std::system_error(EMFILE, std::generic_category());
            }) == EMFILE);
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
