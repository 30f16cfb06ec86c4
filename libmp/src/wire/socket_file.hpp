// SPDX-License-Identifier: BSL-1.0
// socket_file: the file of a listening Unix-domain socket: which process may make it,
// replace it, remove it. docs/protocols/listener.md has the protocol.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <system_error>

namespace mp::detail {

/// Calls `open`, which binds to `path` and listens. When a file is in the way that a
/// dead server left, removes it and calls `open` again. Two servers that do this at
/// once do not disturb each other: one of them gets EADDRINUSE.
std::error_code
open_socket_file(const std::string& path, const std::function<std::error_code()>& open);

/// Remembers which file is there, to remove that one and no other.
class SocketFile {
public:
    explicit SocketFile(const std::string& path);

    /// Call it while the socket still listens: then no other server has replaced the
    /// file.
    void remove() const noexcept;

private:
    std::string path_;
    dev_t device_ = 0;
    ino_t inode_ = 0;
};

}  // namespace mp::detail
