// SPDX-License-Identifier: BSL-1.0
// HashReport: failures become messages, everything else a line.
#include "hash_report.hpp"

#include "message.hpp"
#include "outcome.hpp"

namespace mpsum {

void HashReport::take(const Item& item, const FileResult& result) {
    if (item.kind == Item::Kind::failure) {
        console_.message(item.note);
    } else if (result.outcome != Outcome::hashed) {
        console_.message(name_message(item.name, reason(result)));
    } else {
        console_.print(digest_line(format_, item.name, result.text));
        return;
    }
    all_hashed_ = false;
}

}  // namespace mpsum
