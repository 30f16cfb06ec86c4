// SPDX-License-Identifier: BSL-1.0
// UniqueFd: when the descriptor is closed, and when it is another's.
#include "mp/fd.hpp"

#include "support/catch.hpp"
#include "support/error_of.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <type_traits>
#include <utility>

namespace {

mp::UniqueFd some_file() {
    return mp::UniqueFd(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
}

bool is_open(int fd) {
    return ::fcntl(fd, F_GETFD) >= 0;
}

}  // namespace

TEST_CASE("UniqueFd: empty until it is given a descriptor", "[fd]") {
    const mp::UniqueFd none;
    CHECK(none.get() == -1);
    CHECK_FALSE(none);
    CHECK_FALSE(mp::UniqueFd(-1));
    // 0 is a descriptor.
    mp::UniqueFd input(STDIN_FILENO);
    CHECK(static_cast<bool>(input));
    CHECK(input.release() == STDIN_FILENO);
}

TEST_CASE("UniqueFd: closes what it holds at its end", "[fd]") {
    int number = -1;
    {
        const mp::UniqueFd fd = some_file();
        number = fd.get();
        CHECK(is_open(number));
    }
    CHECK_FALSE(is_open(number));
}

TEST_CASE("UniqueFd: has one owner, and moves", "[fd]") {
    STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<mp::UniqueFd>);
    STATIC_REQUIRE_FALSE(std::is_copy_assignable_v<mp::UniqueFd>);
    mp::UniqueFd a = some_file();
    const int number = a.get();
    mp::UniqueFd b = std::move(a);
    CHECK(a.get() == -1);
    CHECK(b.get() == number);
    mp::UniqueFd c = some_file();
    const int replaced = c.get();
    c = std::move(b);
    CHECK(c.get() == number);
    CHECK_FALSE(b);
    CHECK_FALSE(is_open(replaced));
    CHECK(is_open(number));
}

TEST_CASE("UniqueFd: reset() closes, release() does not", "[fd]") {
    mp::UniqueFd fd = some_file();
    const int first = fd.get();
    mp::UniqueFd other = some_file();
    const int second = other.release();
    CHECK_FALSE(other);
    CHECK(is_open(second));
    fd.reset(second);
    CHECK_FALSE(is_open(first));
    CHECK(fd.get() == second);
    fd.reset();
    CHECK_FALSE(fd);
    CHECK_FALSE(is_open(second));
    fd.reset();
    CHECK_FALSE(fd);
}

TEST_CASE("UniqueFd: a duplicate is the same open file, close-on-exec", "[fd]") {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const mp::UniqueFd reader(ends[0]);
    mp::UniqueFd writer(ends[1]);
    const mp::UniqueFd second = writer.duplicate();
    CHECK(second.get() != writer.get());
    CHECK(::fcntl(second.get(), F_GETFD) == FD_CLOEXEC);
    writer.reset();
    CHECK(::write(second.get(), "x", 1) == 1);
    char byte = 0;
    CHECK(::read(reader.get(), &byte, 1) == 1);
    CHECK(byte == 'x');
    // Of a descriptor that somebody else owns.
    const mp::UniqueFd third = mp::UniqueFd::duplicate_of(second.get());
    CHECK(is_open(third.get()));
    CHECK(is_open(second.get()));
}

TEST_CASE("UniqueFd: what is not open cannot be duplicated", "[fd]") {
    CHECK(test::error_of([] {
              static_cast<void>(mp::UniqueFd().duplicate());
          }) == EBADF);
    mp::UniqueFd fd = some_file();
    const int number = fd.get();
    fd.reset();
    CHECK(test::error_of([&] {
              static_cast<void>(mp::UniqueFd::duplicate_of(number));
          }) == EBADF);
}
