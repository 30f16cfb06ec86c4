// SPDX-License-Identifier: BSL-1.0
// new_fd: no descriptor of the library takes the number of a standard stream.
#include "mp/detail/event_fd.hpp"
#include "mp/detail/shm.hpp"

#include "os/epoll.hpp"
#include "os/fd_passing.hpp"
#include "os/new_fd.hpp"
#include "os/pidfd.hpp"
#include "os/pipe.hpp"
#include "os/socket.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace {

using mp::UniqueFd;
namespace os = mp::os;

bool is_open(int fd) {
    return ::fcntl(fd, F_GETFD) >= 0;
}

/// Closes those of 0, 1 and 2 whose bits are set; for a process of its own.
void close_streams(int mixture) {
    for (int stream = 0; stream < 3; ++stream) {
        if ((mixture & (1 << stream)) != 0) {
            ::close(stream);
        }
    }
}

bool are_closed(int mixture) {
    for (int stream = 0; stream < 3; ++stream) {
        if (is_open(stream) != ((mixture & (1 << stream)) == 0)) {
            return false;
        }
    }
    return true;
}

UniqueFd open_null() {
    return os::new_fd("open", [] { return ::open("/dev/null", O_RDWR | O_CLOEXEC); });
}

}  // namespace

TEST_CASE("new_fd: is above the standard streams, whichever are closed", "[fd]") {
    const int mixture = GENERATE(0, 1, 2, 3, 4, 5, 6, 7);
    CHECK(test::run_in_fork([&] {
              close_streams(mixture);
              const UniqueFd one = open_null();
              const UniqueFd copy = one.duplicate();
              const auto [reader, writer] = os::make_pipe();
              const auto [a, b] = os::make_socketpair(os::SocketKind::stream);
              const mp::detail::EventFd bell;
              const os::Epoll set;
              const UniqueFd self = os::pidfd_open(::getpid());
              const mp::detail::Segment memory("mp-test", 4096);
              for (const int fd :
                   {one.get(),
                    copy.get(),
                    reader.get(),
                    writer.get(),
                    a.get(),
                    b.get(),
                    bell.fileno(),
                    set.fileno(),
                    self.get(),
                    memory.fileno()}) {
                  if (fd < 3 || ::fcntl(fd, F_GETFD) != FD_CLOEXEC) {
                      return 1;
                  }
              }
              return are_closed(mixture) ? 0 : 2;
          }) == 0);
}

TEST_CASE("new_fd: one that comes in a message is moved", "[fd]") {
    const int mixture = GENERATE(1, 2, 3, 4, 5, 6, 7);
    CHECK(test::run_in_fork([&] {
              const auto [a, b] = os::make_socketpair(os::SocketKind::stream);
              const UniqueFd sent = open_null();
              const std::array<int, 4> fds{
                  sent.get(), sent.get(), sent.get(), sent.get()};
              const std::byte byte{1};
              os::send_with_fds(a.get(), {&byte, 1}, fds, mp::Deadline(mp::forever));
              close_streams(mixture);
              std::byte got{};
              const auto came = os::receive_exactly_with_fds(
                  b.get(), {&got, 1}, fds.size(), mp::Deadline(mp::forever)
              );
              for (const UniqueFd& fd : came) {
                  if (fd.get() < 3 || !is_open(fd.get())) {
                      return 1;
                  }
              }
              return came.size() == fds.size() && are_closed(mixture) ? 0 : 2;
          }) == 0);
}

TEST_CASE(
    "new_fd: without room above them it fails, and leaves nothing there", "[fd]"
) {
    CHECK(test::run_in_fork([] {
              close_streams(7);
              // Whatever is open stays open: only the three low numbers are allowed.
              const rlimit few{.rlim_cur = 3, .rlim_max = 3};
              if (::setrlimit(RLIMIT_NOFILE, &few) != 0) {
                  return 1;
              }
              try {
                  open_null();
                  return 2;
              } catch (const std::system_error& error) {
                  if (error.code().value() != EMFILE) {
                      return 3;
                  }
              }
              try {
                  static_cast<void>(os::make_pipe());
                  return 4;
              } catch (const std::system_error& error) {
                  if (error.code().value() != EMFILE) {
                      return 5;
                  }
              }
              return are_closed(7) ? 0 : 6;
          }) == 0);
}

TEST_CASE("new_fd: a stream that the program puts there meanwhile stays", "[fd]") {
    CHECK(test::run_in_fork([] {
              const UniqueFd log = open_null();
              ::close(1);
              const UniqueFd made = os::new_fd("open", [&] {
                  ::dup2(log.get(), 1);  // as another thread might
                  return ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
              });
              return made.get() >= 3 && ::fcntl(1, F_GETFD) == 0 ? 0 : 1;
          }) == 0);
}
