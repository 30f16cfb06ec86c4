// SPDX-License-Identifier: BSL-1.0
#include "mp/detail/event_fd.hpp"

#include "os/epoll.hpp"
#include "os/poll.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <chrono>
#include <system_error>
#include <vector>

using mp::Deadline;
using mp::detail::EventFd;
using mp::os::Epoll;
using namespace std::chrono_literals;

namespace {

std::vector<std::uint64_t> tags_of(const Epoll::Ready& ready) {
    const auto tags = ready.tags();
    std::vector<std::uint64_t> sorted(tags.begin(), tags.end());
    std::sort(sorted.begin(), sorted.end());
    return sorted;
}

}  // namespace

TEST_CASE("Epoll: what is ready is reported by its tag") {
    const Epoll epoll;
    const EventFd first;
    const EventFd second;
    epoll.add(first.fileno(), 1);
    epoll.add(second.fileno(), ~std::uint64_t{0});
    CHECK(epoll.wait(Deadline(0s)).empty());
    CHECK_FALSE(mp::os::wait_readable(epoll.fileno(), Deadline(0s)));
    second.ring();
    CHECK(tags_of(epoll.wait(Deadline(mp::forever))) == std::vector{~std::uint64_t{0}});
    first.ring();
    CHECK(tags_of(epoll.poll()) == std::vector{std::uint64_t{1}, ~std::uint64_t{0}});
    CHECK(mp::os::wait_readable(epoll.fileno(), Deadline(0s)));
}

TEST_CASE("Epoll: what is removed is not reported, what is modified has its new tag") {
    const Epoll epoll;
    const EventFd bell;
    bell.ring();
    epoll.add(bell.fileno(), 1);
    epoll.modify(bell.fileno(), 2, EPOLLIN);
    CHECK(tags_of(epoll.poll()) == std::vector{std::uint64_t{2}});
    epoll.remove(bell.fileno());
    CHECK(epoll.poll().empty());
    epoll.remove(bell.fileno());  // once more: nothing happens
}

TEST_CASE("Epoll: EPOLLONESHOT reports once, until it is asked for again") {
    const Epoll epoll;
    const EventFd bell;
    bell.ring();
    epoll.add(bell.fileno(), 5, EPOLLIN | EPOLLONESHOT);
    CHECK(tags_of(epoll.poll()) == std::vector{std::uint64_t{5}});
    CHECK(epoll.poll().empty());
    epoll.modify(bell.fileno(), 5, EPOLLIN | EPOLLONESHOT);
    CHECK_FALSE(epoll.poll().empty());
}

TEST_CASE("Epoll: a descriptor that is none is an error") {
    const Epoll epoll;
    CHECK_THROWS_AS(epoll.add(-1, 1), std::system_error);
    CHECK_THROWS_AS(epoll.modify(epoll.fileno(), 1, EPOLLIN), std::system_error);
}
