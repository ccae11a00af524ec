# SPDX-License-Identifier: Apache-2.0
# Prints the string value of `key` at the top level of a JSON object; a user's own "hostname" in "meta" must not count.
{ text = text $0 "\n" }
END {
    while (match(text, /"([^"\\]|\\.)*"|[{}:]|\[|\]/)) {
        token = substr(text, RSTART, RLENGTH)
        text = substr(text, RSTART + RLENGTH)
        if (token == ":") { is_value = 1; continue }
        if (token == "{" || token == "[") depth++
        else if (token == "}" || token == "]") depth--
        else if (depth == 1 && is_value && name == "\"" key "\"") { print substr(token, 2, length(token) - 2); exit }
        else if (!is_value) name = token
        is_value = 0
    }
}
