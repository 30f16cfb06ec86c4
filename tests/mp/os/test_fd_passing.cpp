// SPDX-License-Identifier: BSL-1.0
// Descriptors that are passed over a socket.
#include "mp/errors.hpp"

#include "os/fd_passing.hpp"
#include "os/pipe.hpp"
#include "os/poll.hpp"
#include "os/socket.hpp"
#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "support/proc.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <vector>

using namespace mp;
using namespace std::chrono_literals;

namespace {

const Deadline never(forever);

ino_t inode(int fd) {
    struct stat info {};
    REQUIRE(::fstat(fd, &info) == 0);
    return info.st_ino;
}

class FileLimit {
public:
    explicit FileLimit(rlim_t soft) {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        const rlimit now{.rlim_cur = soft, .rlim_max = before_.rlim_max};
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &now) == 0);
    }

    ~FileLimit() { ::setrlimit(RLIMIT_NOFILE, &before_); }

    FileLimit(const FileLimit&) = delete;
    FileLimit& operator=(const FileLimit&) = delete;

private:
    rlimit before_{};
};

int error_of(int socket, std::size_t bytes, std::size_t count) {
    std::vector<std::byte> buffer(bytes);
    return test::error_of([&] {
        os::receive_exactly_with_fds(socket, buffer, count, never);
    });
}

}  // namespace

TEST_CASE("fd_passing: any number of descriptors arrives in order", "[fd_passing]") {
    const std::size_t count = GENERATE(0U, 1U, 63U, 64U, 65U, 252U, 253U, 254U, 600U);
    const FileLimit limit(4096);
    auto [a, b] = os::make_socketpair(os::SocketKind::stream);
    auto [r1, w1] = os::make_pipe();
    auto [r2, w2] = os::make_pipe();
    std::vector<int> fds;
    for (std::size_t i = 0; i < count; ++i) {
        fds.push_back(i % 3 == 0 ? r1.get() : r2.get());
    }
    const std::vector<std::byte> data(100, std::byte{7});
    os::send_with_fds(a.get(), data, fds, never);
    std::vector<std::byte> got(100);
    const auto received = os::receive_exactly_with_fds(b.get(), got, count, never);
    CHECK(got == data);
    REQUIRE(received.size() == count);
    for (std::size_t i = 0; i < count; ++i) {
        CHECK(inode(received[i].get()) == inode(fds[i]));
        CHECK((::fcntl(received[i].get(), F_GETFD) & FD_CLOEXEC) != 0);
    }
}

TEST_CASE("fd_passing: each batch of descriptors needs a byte", "[fd_passing]") {
    auto [a, b] = os::make_socketpair(os::SocketKind::stream);
    const std::vector<int> fds(254, a.get());
    CHECK_THROWS_AS(
        os::send_with_fds(a.get(), std::array{std::byte{1}}, fds, never),
        std::invalid_argument
    );
    CHECK_THROWS_AS(os::receive_with_fds(b.get(), {}, 1, never), std::invalid_argument);
}

TEST_CASE("fd_passing: data without its descriptor is an error", "[fd_passing]") {
    auto [a, b] = os::make_socketpair(os::SocketKind::stream);
    os::send_all(a.get(), std::array{std::byte{1}}, never);
    CHECK(error_of(b.get(), 1, 1) == EBADMSG);
}

TEST_CASE("fd_passing: descriptors that nobody expects are closed", "[fd_passing]") {
    auto [a, b] = os::make_socketpair(os::SocketKind::stream);
    const std::array fds{a.get(), a.get()};
    os::send_with_fds(a.get(), std::array{std::byte{1}}, fds, never);
    const int before = test::open_descriptors();
    CHECK(error_of(b.get(), 1, 1) == EBADMSG);
    CHECK(test::open_descriptors() == before);
}

TEST_CASE(
    "fd_passing: a receiver without free numbers gets EMFILE, leaks nothing and can go "
    "on",
    "[fd_passing]"
) {
    auto [a, b] = os::make_socketpair(os::SocketKind::stream);
    const std::array fds{a.get(), a.get(), a.get(), a.get()};
    os::send_with_fds(a.get(), std::array{std::byte{1}}, fds, never);
    const int before = test::open_descriptors();
    {
        // The next free number and one more: two of the four fit.
        const int next = ::dup(0);
        ::close(next);
        const FileLimit limit(static_cast<rlim_t>(next) + 2);
        CHECK(error_of(b.get(), 1, 4) == EMFILE);
    }
    CHECK(test::open_descriptors() == before);
    os::send_with_fds(a.get(), std::array{std::byte{1}}, fds, never);
    CHECK(error_of(b.get(), 1, 4) == 0);
}

TEST_CASE(
    "fd_passing: descriptors on their way die with the receiver", "[fd_passing]"
) {
    auto [a, b] = os::make_socketpair(os::SocketKind::stream);
    auto [reader, writer] = os::make_pipe();
    os::send_with_fds(
        a.get(), std::array{std::byte{1}}, std::array{writer.get()}, never
    );
    writer.reset();
    b.reset();  // never received
    std::byte end{};
    CHECK(os::receive_some(reader.get(), {&end, 1}, Deadline(10s)) == 0);
}

TEST_CASE("fd_passing: deadline, end of stream, receiver gone", "[fd_passing]") {
    auto [a, b] = os::make_socketpair(os::SocketKind::stream);
    std::array<std::byte, 1> got{};
    for (const Timeout timeout : {Timeout(0s), Timeout(10ms)}) {
        CHECK_THROWS_AS(
            os::receive_with_fds(b.get(), got, 1, Deadline(timeout)), TimeoutError
        );
    }
    a.reset();
    CHECK(os::receive_with_fds(b.get(), got, 1, never).bytes == 0);
    CHECK_THROWS_AS(os::receive_exactly_with_fds(b.get(), got, 1, never), EOFError);
    CHECK_THROWS_AS(
        os::send_with_fds(b.get(), got, std::array{b.get()}, never), std::system_error
    );
}

TEST_CASE("fd_passing: the kernel names who sends a packet", "[fd_passing]") {
    auto [ours, theirs] = mp::os::make_socketpair(mp::os::SocketKind::seqpacket);
    mp::os::name_senders(theirs.get());
    const mp::Deadline now(std::chrono::seconds(0));
    std::array<std::byte, 8> room{};
    const std::array<std::byte, 1> one{std::byte{7}};
    mp::os::send_packet(ours.get(), one, {}, now);
    mp::os::send_packet(ours.get(), {}, {}, now);
    ours.reset();
    const auto first = mp::os::receive_with_fds(theirs.get(), room, 0, now);
    REQUIRE(first.sender);
    CHECK(first.bytes == 1);
    CHECK(first.sender->pid == ::getpid());
    CHECK(first.sender->user == ::geteuid());
    // An empty packet has a sender, the end of the stream has none.
    const auto empty = mp::os::receive_with_fds(theirs.get(), room, 0, now);
    CHECK(empty.bytes == 0);
    CHECK(empty.sender);
    const auto end = mp::os::receive_with_fds(theirs.get(), room, 0, now);
    CHECK(end.bytes == 0);
    CHECK_FALSE(end.sender);
}

TEST_CASE("fd_passing: a message whole, and who sent it", "[fd_passing]") {
    auto [ours, theirs] = mp::os::make_socketpair(mp::os::SocketKind::stream);
    mp::os::name_senders(theirs.get());
    const mp::Deadline now(std::chrono::seconds(0));
    std::array<std::byte, 2> room{};
    for (const std::byte part : {std::byte{1}, std::byte{2}}) {
        mp::os::send_packet(ours.get(), {&part, 1}, {}, now);
    }
    CHECK(mp::os::receive_from_sender(theirs.get(), room, now).pid == ::getpid());
    CHECK(room[1] == std::byte{2});
    // Descriptors that nobody wants are closed, and it is no message.
    const std::array<int, 1> unwanted{0};
    mp::os::send_packet(ours.get(), room, unwanted, now);
    CHECK_THROWS_AS(
        mp::os::receive_from_sender(theirs.get(), room, now), std::system_error
    );
    ours.reset();
    CHECK_THROWS_AS(mp::os::receive_from_sender(theirs.get(), room, now), mp::EOFError);
}

TEST_CASE(
    "fd_passing: a look at a packet takes neither it nor descriptors", "[fd_passing]"
) {
    auto [ours, theirs] = mp::os::make_socketpair(mp::os::SocketKind::seqpacket);
    mp::os::name_senders(theirs.get());
    std::array<std::byte, 8> room{};
    CHECK_FALSE(mp::os::peek_packet(theirs.get(), room));
    auto [reader, writer] = mp::os::make_pipe();
    const std::array<std::byte, 2> two{};
    const std::array<int, 1> fds{writer.get()};
    mp::os::send_packet(ours.get(), two, fds, mp::Deadline(mp::forever));
    mp::os::send_packet(ours.get(), {}, {}, mp::Deadline(mp::forever));
    writer.reset();
    for (int i = 0; i < 2; ++i) {
        const auto seen = mp::os::peek_packet(theirs.get(), room);
        REQUIRE(seen.has_value());
        CHECK(seen->bytes == 2);
        CHECK(seen->fds.empty());
        REQUIRE(seen->sender.has_value());
        CHECK(seen->sender->pid == ::getpid());
    }
    CHECK_FALSE(mp::os::wait_readable(reader.get(), mp::Deadline(0s)));
    mp::os::drop_packet(theirs.get());
    // Nobody has the writer any more.
    CHECK(mp::os::wait_readable(reader.get(), mp::Deadline(0s)));
    const auto empty = mp::os::peek_packet(theirs.get(), room);
    REQUIRE(empty.has_value());
    CHECK(empty->bytes == 0);
    CHECK(empty->sender.has_value());
}
