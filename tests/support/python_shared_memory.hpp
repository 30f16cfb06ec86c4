// SPDX-License-Identifier: BSL-1.0
// with_each_python: CPython's multiprocessing.shared_memory on the other side.
#pragma once

#include "mp/connection.hpp"
#include "mp/errors.hpp"

#include "os/socket.hpp"
#include "support/catch.hpp"
#include "support/python.hpp"
#include "support/text_of.hpp"

#include <string>
#include <utility>

namespace test {

/// Runs the script in each python3 from 3.9 on; `talk` is the other side.
/// The script has a Connection `c`, and `untrack(segment)`.
template <class Talk>
void with_each_python(const std::string& script, Talk talk) {
    const std::string begin = R"(
import sys
from multiprocessing.connection import Connection
c = Connection(int(sys.argv[1]))
try:
    from multiprocessing import shared_memory, resource_tracker
    # ShareableList had another layout in 3.8.
    if sys.version_info < (3, 9): raise ImportError
except ImportError:
    c.send_bytes(b'none')
    sys.exit(0)
c.send_bytes(b'ready')
def untrack(segment):
    resource_tracker.unregister(segment._name, 'shared_memory')
)";
    int spoken_with = 0;
    for (const std::string& program : pythons()) {
        INFO(program);
        auto [ours, theirs] = mp::os::make_socketpair(mp::os::SocketKind::stream);
        mp::Connection connection(std::move(ours));
        const pid_t child = run_python(program, begin + script, theirs.get());
        theirs.reset();
        try {
            if (text_of(connection.recv_bytes()) == "ready") {
                talk(connection);
                ++spoken_with;
            }
        } catch (const mp::EOFError&) {
            // No such program, or the script failed: its status tells.
        }
        connection.close();
        const int status = exit_status(child);
        CHECK((status == 0 || status == 127));
    }
    if (spoken_with == 0) {
        WARN("no python3 with multiprocessing.shared_memory: not tested");
    }
}

}  // namespace test
