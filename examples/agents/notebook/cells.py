# %%
import os
import time
import urllib.error
import urllib.request

token = os.environ["LAKE_TOKEN"]
print("holds", token[:3] + "…, a placeholder")

# %%
def read(dataset):
    request = urllib.request.Request(f"{os.environ['LAKE']}/datasets/{dataset}", headers={"authorization": f"Bearer {token}"})
    try:
        return urllib.request.urlopen(request, timeout=60).read().decode().strip()
    except urllib.error.HTTPError as refused:
        return f"refused ({refused.code})"

print(read("sales/2026"))

# %%
print(read("stock/2026"))

# %%
# The same process, the same connection pool, the same placeholder: the policy has another rule now.
until = time.monotonic() + 60
while read("stock/2026").startswith("refused") and time.monotonic() < until:
    time.sleep(0.05)
print(read("stock/2026"))
