// SPDX-License-Identifier: BSL-1.0
#include "mp/detail/event_fd.hpp"

#include "os/poll.hpp"
#include "support/catch.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>

using mp::detail::EventFd;

namespace {

bool readable(const EventFd& bell) {
    return mp::os::wait_readable(bell.fileno(), mp::Deadline(std::chrono::seconds(0)));
}

}  // namespace

TEST_CASE("EventFd: it is readable from the first ring until the rings are taken") {
    const EventFd bell;
    CHECK_FALSE(readable(bell));
    bell.ring();
    bell.ring();
    CHECK(readable(bell));
    bell.take();
    CHECK_FALSE(readable(bell));
    bell.take();  // with none to take it does not block
    EventFd::ring(bell.fileno());
    CHECK(readable(bell));
}

TEST_CASE("EventFd: a ring of a full counter does not block") {
    const EventFd bell;
    const std::uint64_t full = ~std::uint64_t{0} - 1;
    REQUIRE(::write(bell.fileno(), &full, sizeof full) == sizeof full);
    bell.ring();
    CHECK(readable(bell));
    bell.take();
    CHECK_FALSE(readable(bell));
}

TEST_CASE("EventFd: no other program inherits it") {
    const EventFd bell;
    CHECK((::fcntl(bell.fileno(), F_GETFD) & FD_CLOEXEC) != 0);
}
