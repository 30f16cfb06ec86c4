// SPDX-License-Identifier: BSL-1.0
// occupy_standard_fds: /dev/null, opened the wrong way round.
#include "standard_fds.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <initializer_list>

namespace mpsum {

void occupy_standard_fds() {
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::fcntl(fd, F_GETFD) < 0) {
            // The lowest free number is fd, since the lower ones are open.
            ::open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_WRONLY);
        }
    }
}

}  // namespace mpsum
