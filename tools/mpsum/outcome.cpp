// SPDX-License-Identifier: BSL-1.0
// reason: the system's words for errors, mpsum's own for the rest.
#include "outcome.hpp"

#include "message.hpp"

#include <system_error>

namespace mpsum {

std::string reason(const FileResult& result) {
    switch (result.outcome) {
    case Outcome::failed:
        return std::generic_category().message(result.error);
    case Outcome::directory:
        return std::make_error_code(std::errc::is_a_directory).message();
    case Outcome::special:
        return std::string(special_file_text);
    default:
        return result.text;
    }
}

}  // namespace mpsum
